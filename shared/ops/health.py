"""Answers the four operational pages of a service, whatever serves them.

``/healthz``: the loop answers. ``/readyz``: work may be sent here (503 when not, with the
failing check's name). ``/metrics``: Prometheus text. ``/version``: what runs here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

Check = Callable[[], Awaitable[None]]
"""Raises when the part it looks at does not work."""

_CHECK_SECONDS = 2.0


class Page(NamedTuple):
    """One answer to a GET."""

    status: int
    content_type: str
    body: bytes


class Health:
    """The operational pages of one service."""

    def __init__(
        self,
        service: str,
        version: str,
        registry: CollectorRegistry,
        checks: Mapping[str, Check],
        details: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """``checks`` decide readiness; ``details`` are shown beside them and decide nothing."""
        self._identity = {"service": service, "version": version}
        self._registry = registry
        self._checks = checks
        self._details = details
        self.draining = False
        """Set when the service stops: it is then not ready, so nothing new is sent here."""

    async def page(self, path: str) -> Page | None:
        """The page at ``path``, or None when it is not one of the four."""
        match path:
            case "/healthz":
                return _json(200, {"status": "ok", **self._identity})
            case "/readyz":
                return await self._readiness()
            case "/metrics":
                return Page(200, CONTENT_TYPE_LATEST, generate_latest(self._registry))
            case "/version":
                return _json(200, self._identity)
            case _:
                return None

    async def _readiness(self) -> Page:
        results = {name: await _result(check) for name, check in self._checks.items()}
        ready = not self.draining and all(result == "ok" for result in results.values())
        body = {
            "status": "ready" if ready else "draining" if self.draining else "not ready",
            **self._identity,
            "checks": results,
            **self._details(),
        }
        return _json(200 if ready else 503, body)


async def _result(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except Exception as error:  # noqa: BLE001 - whatever is wrong, that check failed
        return f"failed: {type(error).__name__}"
    return "ok"


def _json(status: int, body: Mapping[str, Any]) -> Page:
    return Page(status, "application/json", orjson.dumps(body))

"""The operational pages: alive, ready or why not, measured, and which version."""

import orjson
from prometheus_client import CollectorRegistry, Counter

from shared.ops.health import Health


async def fine() -> None: ...


async def broken() -> None:
    raise ConnectionError("a secret address")


def health(**checks: object) -> Health:
    registry = CollectorRegistry()
    Counter("tandem_things", "Things.", registry=registry).inc()
    return Health("web", "1.2", registry, checks, lambda: {"jobsService": "connected"})  # type: ignore[arg-type]


async def body_of(pages: Health, path: str) -> tuple[int, dict[str, object]]:
    page = await pages.page(path)
    assert page is not None
    return page.status, orjson.loads(page.body)


async def test_it_is_ready_when_every_check_passes() -> None:
    status, body = await body_of(health(mongo=fine), "/readyz")
    assert (status, body["status"]) == (200, "ready")
    assert (body["checks"], body["jobsService"]) == ({"mongo": "ok"}, "connected")


async def test_a_failed_check_is_named_and_nothing_of_its_message_is_shown() -> None:
    status, body = await body_of(health(mongo=broken, pool=fine), "/readyz")
    assert (status, body["status"]) == (503, "not ready")
    assert body["checks"] == {"mongo": "failed: ConnectionError", "pool": "ok"}


async def test_a_draining_service_is_alive_but_not_ready() -> None:
    pages = health(mongo=fine)
    pages.draining = True
    assert (await body_of(pages, "/readyz"))[0] == 503
    assert (await body_of(pages, "/healthz"))[0] == 200


async def test_metrics_version_and_nothing_else() -> None:
    pages = health()
    metrics = await pages.page("/metrics")
    assert metrics is not None
    assert b"tandem_things_total 1.0" in metrics.body
    assert await body_of(pages, "/version") == (200, {"service": "web", "version": "1.2"})
    assert await pages.page("/other") is None

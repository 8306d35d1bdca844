"""A session as the application sees it: who it is, and what to do when it ends."""

from collections.abc import Callable
from typing import Any

import structlog

from shared.rpc.addresses import client_address
from shared.rpc.errors import MethodError
from shared.rpc.transport import NORMAL_CLOSURE, Peer

log = structlog.get_logger()


_HARMLESS_HEADERS = frozenset(
    {
        "accept-language",
        "dnt",
        "host",
        "referer",
        "user-agent",
        "via",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
        "x-ssl",
    }
)
"""What Meteor shows of a connection: no cookie, and no authorization."""


class Session:
    """One client of a server, over all the connections that it needs."""

    __slots__ = (
        *("_close", "_data", "_forwarded_count", "_is_closed", "_on_close"),
        *("id", "peer", "user_id"),
    )

    def __init__(
        self,
        session_id: str,
        *,
        peer: Peer,
        user_id: str | None,
        close: Callable[[int, str], None],
        forwarded_count: int = 0,
    ) -> None:
        self.id = session_id
        self.peer = peer
        """Who is, or was, at the other end of its connection."""
        self.user_id = user_id
        """Who is logged in; changed by ``MethodContext.set_user_id``."""
        self._data: dict[str, Any] | None = None
        self._forwarded_count = forwarded_count
        self._close = close
        self._is_closed = False
        self._on_close: list[Callable[[], object]] = []

    @property
    def client_address(self) -> str:
        """Where the client is, as far as trusted proxies tell; empty when they don't."""
        return client_address(self.peer, self._forwarded_count)

    @property
    def http_headers(self) -> dict[str, str]:
        """Of the upgrade request, those that hold no secrets; names in lower case."""
        return {n: v for n, v in self.peer.headers.items() if n in _HARMLESS_HEADERS}

    @property
    def data(self) -> dict[str, Any]:
        """Whatever the application wants to keep with it."""
        if self._data is None:
            self._data = {}
        return self._data

    def close(self, reason: str = "") -> None:
        """Send what there is to send, then close the connection (1000)."""
        self._close(NORMAL_CLOSURE, reason)

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called when the session ends; at once, if it has ended."""
        if self._is_closed:
            call_back(callback)
        else:
            self._on_close.append(callback)

    def ended(self) -> None:
        """The session has ended; called once, by the server."""
        self._is_closed = True
        callbacks, self._on_close = self._on_close, []
        for callback in callbacks:
            call_back(callback)


def call_back(callback: Callable[[], object]) -> None:
    """Call the application, whose errors are not the connection's."""
    try:
        callback()
    except Exception:
        log.exception("rpc.callback_failed", callback=getattr(callback, "__qualname__", "?"))


def told(error: Exception, event: str, **where: str) -> MethodError:
    """What the client is told about an exception; all but a ``MethodError`` is logged."""
    if isinstance(error, MethodError):
        return error
    log.error(event, exc_info=error, **where)
    return MethodError(500, "Internal server error")

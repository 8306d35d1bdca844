"""A session as the application sees it: who it is, and what to do when it ends."""

from collections.abc import Callable
from typing import Any

import structlog

from shared.rpc.errors import MethodError
from shared.rpc.transport import NORMAL_CLOSURE, Peer

log = structlog.get_logger()


class Session:
    """One client that is connected to a server."""

    def __init__(
        self,
        session_id: str,
        *,
        peer: Peer,
        user_id: str | None,
        close: Callable[[int, str], None],
    ) -> None:
        self.id = session_id
        self.peer = peer
        self.user_id = user_id
        """Who is logged in; changed by ``MethodContext.set_user_id``."""
        self.data: dict[str, Any] = {}
        """Whatever the application wants to keep with it."""
        self._close = close
        self._is_closed = False
        self._on_close: list[Callable[[], object]] = []

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

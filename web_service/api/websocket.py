"""``/websocket``: DDP sessions of browsers, logged in by the page's cookie."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from aiohttp import web

from shared.rpc.transport import Peer
from web_service.keys import AUTH, DDP, MAX_MESSAGE_BYTES, PEERS
from web_service.peers import peer_of
from web_service.upgrade import WebSocket, upgrade


class Serve(Protocol):
    """Serves a connection until it is closed."""

    def __call__(
        self, socket: WebSocket, peer: Peer, /, *, user_id: str | None
    ) -> Coroutine[Any, Any, None]: ...


async def accept(
    request: web.Request,
    serve: Serve,
    *,
    admit: Callable[[Peer], Callable[[], None]],
    user_id: Callable[[web.Request], Awaitable[str | None]],
    max_message_bytes: int,
) -> web.StreamResponse:
    """Upgrade a request to a WebSocket, which goes on without it; returns its answer.

    ``admit`` counts it, and returns what counts it out; ``user_id`` says who is logged in.

    Raises:
        aiohttp.web.HTTPBadRequest: it does not ask for a WebSocket.
    """
    peer = peer_of(request)
    leave = admit(peer)
    try:
        user = await user_id(request)
        return upgrade(
            request, max_message_bytes, lambda socket: serve(socket, peer, user_id=user), leave
        )
    except BaseException:
        leave()
        raise


async def websocket(request: web.Request) -> web.StreamResponse:
    """Begin to serve a DDP connection."""
    app = request.app
    return await accept(
        request,
        app[DDP].serve,
        admit=app[PEERS].admit,
        user_id=app[AUTH].user_id,
        max_message_bytes=app[MAX_MESSAGE_BYTES],
    )


routes = [web.get("/websocket", websocket), web.get("/websocket/", websocket)]

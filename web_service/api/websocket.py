"""``/websocket``: DDP sessions over aiohttp's WebSocket, logged in by the page's cookie."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack

from aiohttp import WSCloseCode, WSMsgType, web

from shared.rpc.ddp.frames import Binary, Outgoing
from web_service.keys import AUTH, DDP, MAX_MESSAGE_BYTES, PEERS
from web_service.peers import peer_of

_CLOSE_SECONDS = 2.0
_MAX_REASON_BYTES = 123
"""RFC 6455 §5.5: a close frame has 125 bytes, two of which are the code."""


class AiohttpTransport:
    """One WebSocket of aiohttp's server, as the RPC's transport."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._request = request

    @property
    def close_code(self) -> int | None:
        code = self._socket.close_code
        return None if code == WSCloseCode.ABNORMAL_CLOSURE else code

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        async for message in self._socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                yield message.data

    async def send(self, messages: Sequence[Outgoing]) -> None:
        cancelled: asyncio.CancelledError | None = None
        try:
            for message in messages:
                try:
                    await self._send(message)
                except asyncio.CancelledError as error:
                    cancelled = error  # this one is written, but the others have to follow
        except ConnectionError:
            return
        if cancelled is not None:
            raise cancelled

    async def _send(self, message: Outgoing) -> None:
        if isinstance(message, Binary):
            await self._socket.send_frame(message.data, WSMsgType.BINARY)
        else:
            await self._socket.send_frame(message, WSMsgType.TEXT)

    async def close(self, code: int, reason: str) -> None:
        # Who does not read would hold up our last frame, and with it the close, for ever.
        try:
            async with asyncio.timeout(2 * _CLOSE_SECONDS):
                await self._socket.close(code=code, message=reason.encode()[:_MAX_REASON_BYTES])
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()


async def accept(
    request: web.Request, max_message_bytes: int
) -> tuple[web.WebSocketResponse, AiohttpTransport]:
    """Upgrade a request to a WebSocket.

    Raises:
        aiohttp.web.HTTPBadRequest: it does not ask for one.
    """
    socket = web.WebSocketResponse(
        timeout=_CLOSE_SECONDS,
        max_msg_size=max_message_bytes + 1,  # aiohttp refuses what is exactly as long as that
        compress=False,
    )
    await socket.prepare(request)
    return socket, AiohttpTransport(socket, request)


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Serve one DDP connection until it is closed."""
    peer = peer_of(request)
    with ExitStack() as stack:
        stack.callback(request.app[PEERS].admit(peer))
        user_id = await request.app[AUTH].user_id(request)
        socket, transport = await accept(request, request.app[MAX_MESSAGE_BYTES])
        await request.app[DDP].serve(transport, peer, user_id=user_id)
    return socket


routes = [web.get("/websocket", websocket), web.get("/websocket/", websocket)]

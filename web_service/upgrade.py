"""Takes a connection over from aiohttp's HTTP server, when it becomes a WebSocket.

aiohttp keeps all of the HTTP side for as long as a WebSocket is open: the request and its
headers, the parser, two tasks, and the frames of every middleware: 12 of the 29 KB that an
idle session took with it (measured). So here all of that ends with the upgrade; only aiohttp's
parser of frames is used any more.
"""

import asyncio
import base64
import contextlib
import hashlib
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, cast

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import WS_KEY, WebSocketReader
from aiohttp.streams import EofStream
from typing_extensions import override

from shared.rpc.ddp.frames import Outgoing
from shared.rpc.websocket_frame import CLOSE, PONG, frame, message_frame

_CLOSE_SECONDS = 2.0
"""How long the other side may take to agree that the connection is closed."""
_MAX_REASON_BYTES = 123
"""RFC 6455 §5.5: a close frame has 125 bytes, two of which are the code."""
_MAX_QUEUED_BYTES = 65_536
"""Received and not taken yet; above it, nothing more is read from the other side."""

_NO_CAUSE = Exception()


class WebSocket(BaseProtocol):
    """One WebSocket, server's end, as the RPC's transport."""

    __slots__ = ("_close_code", "_inbox", "_is_closing", "_lost", "_reader", "served_by")

    def __init__(self, max_message_bytes: int) -> None:
        super().__init__(asyncio.get_running_loop())
        self._upgraded = True  # to the base: there is no HTTP parser that could be paused
        self._inbox = _Inbox(self)
        self._reader = WebSocketReader(
            self._inbox,
            max_message_bytes + 1,  # it refuses what is exactly as long as its limit
            compress=False,
            decode_text=True,
        )
        self._is_closing = False
        self._close_code: int | None = None
        self._lost: asyncio.Event | None = None
        self.served_by: asyncio.Task[None] | None = None
        """Held here, as nobody else does: it might be taken for garbage while it waits."""

    # The transport of the RPC

    @property
    def close_code(self) -> int | None:
        """With which code the other side closed it; None if it is open, or just broke."""
        return self._close_code

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        read = self._inbox.read
        with contextlib.suppress(EofStream):
            while True:
                yield cast("str | bytes", (await read()).data)

    async def send(self, messages: Sequence[Outgoing]) -> None:
        self._write(messages)
        with contextlib.suppress(ConnectionError):
            await self._drain_helper()

    def send_now(self, messages: Sequence[Outgoing]) -> bool:
        if self._paused:
            return False
        self._write(messages)
        return True

    async def close(self, code: int, reason: str) -> None:
        transport = self.transport
        if transport is None:
            return
        self._say_goodbye(code, reason)
        if self._lost is None:
            self._lost = asyncio.Event()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._lost.wait()
        finally:
            transport.abort()  # who does not read could hold it open for ever

    # The protocol of asyncio

    @override
    def data_received(self, data: bytes) -> None:
        self._reader.feed_data(data)

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._inbox.feed_eof()
        if self._lost is not None:
            self._lost.set()

    # What the inbox does not keep

    def control_received(self, message: WSMessage) -> None:
        """A frame that carries no message has come."""
        if self.transport is None:
            return
        if message.type is WSMsgType.PING and not self._is_closing:
            self.transport.write(frame(PONG, message.data))
        elif message.type is WSMsgType.CLOSE:
            if not self._is_closing:
                self._close_code = message.data
                self._say_goodbye(message.data or WSCloseCode.OK, "")
            self.transport.close()

    def failed(self, error: BaseException) -> None:
        """What has come is no WebSocket frame, or is too large."""
        if self.transport is not None:
            code = error.code if isinstance(error, WebSocketError) else WSCloseCode.INTERNAL_ERROR
            self._say_goodbye(code, "")
            self.transport.close()

    def _write(self, messages: Sequence[Outgoing]) -> None:
        if self.transport is not None and not self._is_closing:
            self.transport.write(b"".join([message_frame(message) for message in messages]))

    def _say_goodbye(self, code: int, reason: str) -> None:
        if self.transport is not None and not self._is_closing:
            self._is_closing = True
            short = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
            payload = struct.pack("!H", code) + short
            self.transport.write(frame(CLOSE, payload))


class _Inbox(WebSocketDataQueue):
    """The messages that nobody has taken yet."""

    __slots__ = ("_socket",)

    def __init__(self, socket: WebSocket) -> None:
        super().__init__(socket, _MAX_QUEUED_BYTES // 2, loop=asyncio.get_running_loop())
        self._socket = socket

    @override
    def feed_data(self, data: Any, size: int) -> None:
        if data.type is WSMsgType.TEXT or data.type is WSMsgType.BINARY:
            super().feed_data(data, size)
        else:
            self._socket.control_received(data)

    @override
    def set_exception(self, exc: BaseException, exc_cause: BaseException = _NO_CAUSE) -> None:
        self._socket.failed(exc)
        self.feed_eof()


class _Rest:
    """What has arrived behind the request, as a parser to aiohttp."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Said by the HTTP side; the connection goes on."""


class _Upgraded(web.StreamResponse):
    """What a handler answers whose connection is no longer aiohttp's: nothing is written."""

    def __init__(self) -> None:
        super().__init__(status=101)

    @override
    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing."""

    @override
    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing."""


def upgrade(
    request: web.Request,
    max_message_bytes: int,
    serve: Callable[[WebSocket], Coroutine[Any, Any, None]],
    on_end: Callable[[], None] | None = None,
) -> web.StreamResponse:
    """Make the request's connection a WebSocket, which ``serve`` serves in a task of its own.

    That must close it in the end; then ``on_end`` is called, if nothing is raised here.
    Returns what the request's handler must answer.

    Raises:
        web.HTTPBadRequest: it does not ask for one, or not as it must.
        ConnectionResetError: it is closed.
    """
    if not web.WebSocketResponse().can_prepare(request):
        raise web.HTTPBadRequest(text="This is no WebSocket handshake.")
    http, transport = request.protocol, request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError
    transport.write(_welcome(request.headers["Sec-WebSocket-Key"]))
    socket, rest = WebSocket(max_message_bytes), _Rest()
    http.set_parser(cast("WebSocketReader", rest))
    transport.set_protocol(socket)
    socket.connection_made(transport)
    http.transport = None
    http.connection_lost(None)  # to it, that was all
    if rest.data:
        socket.data_received(rest.data)
    socket.served_by = asyncio.get_running_loop().create_task(serve(socket))
    if on_end is not None:
        socket.served_by.add_done_callback(lambda _task: on_end())
    return _Upgraded()


def _welcome(key: str) -> bytes:
    """RFC 6455 §4.2.2."""
    proof = hashlib.sha1(key.encode() + WS_KEY, usedforsecurity=False).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n"
    ) % base64.b64encode(proof)

"""A connection taken over from aiohttp's HTTP server, as a transport."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.rpc.ddp.frames import Binary
from shared.rpc.transport import TransportConfig, open_websocket
from web_service import upgrade as module
from web_service.upgrade import WebSocket, upgrade

_MAX_MESSAGE_BYTES = 200_000


class _Upgrader:
    """A server that makes every connection a WebSocket."""

    def __init__(self, port: int | None, sockets: asyncio.Queue[WebSocket]) -> None:
        self.url = f"ws://127.0.0.1:{port}/"
        self.port = port
        self.sockets = sockets


@pytest.fixture
async def server() -> AsyncIterator[_Upgrader]:
    sockets: asyncio.Queue[WebSocket] = asyncio.Queue()

    async def handler(request: web.Request) -> web.StreamResponse:
        return upgrade(request, _MAX_MESSAGE_BYTES, sockets.put)

    app = web.Application()
    app.add_routes([web.get("/", handler)])
    async with TestServer(app) as http:
        yield _Upgrader(http.port, sockets)


@asynccontextmanager
async def _pair(
    server: _Upgrader,
) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, WebSocket]]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(server.url, autoping=False, autoclose=False, max_msg_size=0) as client,
    ):
        yield client, await server.sockets.get()


async def test_texts_and_binary_messages_in_their_order(server: _Upgrader) -> None:
    transport = await open_websocket(server.url, headers={}, config=TransportConfig())
    socket = await server.sockets.get()
    await transport.send([b"one", Binary(b"two"), b"three"])
    received = [await anext(aiter(socket)) for _ in range(3)]
    await socket.send([Binary(b"\x01"), "zwölf".encode(), Binary(b"")])
    async with asyncio.TaskGroup() as group:
        group.create_task(socket.close(1000, "done"))
        assert [message async for message in transport] == [b"\x01", "zwölf", b""]
    assert received == ["one", b"two", "three"]


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536, _MAX_MESSAGE_BYTES])
async def test_frames_of_every_length(server: _Upgrader, size: int) -> None:
    async with _pair(server) as (client, socket):
        await client.send_str("x" * size)
        assert await anext(aiter(socket)) == "x" * size
        await socket.send([b"y" * size])
        assert await client.receive_str() == "y" * size


async def test_a_ping_is_answered(server: _Upgrader) -> None:
    async with _pair(server) as (client, _socket):
        await client.ping(b"there?")
        answer = await client.receive()
        assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, b"there?")


async def test_the_clients_close_is_answered_and_known(server: _Upgrader) -> None:
    async with _pair(server) as (client, socket):
        await client.send_str("last words")
        await client.close(code=1001)
        assert [message async for message in socket] == ["last words"]
        assert socket.close_code == 1001
        await socket.send([b"too late"])
        await socket.close(1000, "nobody is there")


async def test_a_connection_that_breaks_has_no_code(server: _Upgrader) -> None:
    async with _pair(server) as (client, socket):
        connection = client._conn  # to break it without a goodbye
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()
        assert [message async for message in socket] == []
        assert socket.close_code is None


async def test_our_close_has_code_and_reason(server: _Upgrader) -> None:
    async with _pair(server) as (client, socket), asyncio.TaskGroup() as group:
        group.create_task(socket.close(1008, "é" * 100))
        group.create_task(socket.close(1000, "the first call counts"))
        closing = await client.receive()
        assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        await client.close()
        assert [message async for message in socket] == []
        assert socket.close_code is None


async def test_who_never_agrees_to_a_close_is_cut_off(
    server: _Upgrader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CLOSE_SECONDS", 0.01)
    async with _pair(server) as (client, socket):
        await socket.close(1000, "")
        assert (await client.receive()).type is aiohttp.WSMsgType.CLOSE
        assert [message async for message in socket] == []


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\xff" + (_MAX_MESSAGE_BYTES + 1).to_bytes(8) + b"mask", 1009),
        (b"\x83\x80mask", 1002),
        (b"\x81\x81\0\0\0\0\xff", 1007),
    ],
)
async def test_what_is_no_frame_closes_it(server: _Upgrader, frame: bytes, code: int) -> None:
    async with _pair(server) as (client, socket):
        connection = client._conn  # to write what no client of a library would
        assert connection is not None
        assert connection.transport is not None
        connection.transport.write(frame)
        closing = await client.receive()
        assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, code)
        assert [message async for message in socket] == []
        assert socket.close_code is None


async def test_what_arrives_behind_the_request_is_not_lost(server: _Upgrader) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        + b"\x81\x85\0\0\0\0hello"
    )
    socket = await server.sockets.get()
    assert await anext(aiter(socket)) == "hello"
    assert await reader.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
    writer.close()


async def test_a_sender_waits_for_who_does_not_read(server: _Upgrader) -> None:
    async with _pair(server) as (client, socket):
        assert socket.transport is not None
        socket.transport.set_write_buffer_limits(high=0)
        connection = client._conn  # to stop reading
        assert connection is not None
        assert connection.transport is not None
        connection.transport.pause_reading()
        sending = asyncio.create_task(socket.send([b"x" * 16_000_000]))
        while not socket.writing_paused:
            await asyncio.sleep(0)
        assert not sending.done()
        connection.transport.resume_reading()
        assert len(await client.receive_str()) == 16_000_000
        await sending


async def test_the_end_of_what_serves_it_is_told() -> None:
    ended: asyncio.Queue[str] = asyncio.Queue()

    async def serve(socket: WebSocket) -> None:
        async for _ in socket:
            pass
        assert ended.empty()

    async def handler(request: web.Request) -> web.StreamResponse:
        return upgrade(request, _MAX_MESSAGE_BYTES, serve, lambda: ended.put_nowait("ended"))

    app = web.Application()
    app.add_routes([web.get("/", handler)])
    async with TestServer(app) as http, aiohttp.ClientSession() as session:
        async with session.ws_connect(http.make_url("/")):
            pass
        assert await ended.get() == "ended"


async def test_what_is_no_handshake_is_refused(server: _Upgrader) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(server.url.replace("ws", "http", 1)) as answer,
    ):
        assert answer.status == 400

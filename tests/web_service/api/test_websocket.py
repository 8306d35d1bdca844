"""aiohttp's WebSocket as a transport."""

from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.rpc.ddp.frames import Binary
from shared.rpc.transport import TransportConfig, open_websocket
from web_service.api.websocket import AiohttpTransport


async def test_texts_and_binary_messages_in_their_order() -> None:
    received: list[str | bytes] = []

    async def handler(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        transport = AiohttpTransport(socket, request)
        async for message in transport:
            received.append(message)
            if len(received) == 3:
                await transport.send([Binary(b"\x01"), "zwölf".encode(), Binary(b"")])
                await transport.close(1000, "done")
        return socket

    app = web.Application()
    app.add_routes([web.get("/", handler)])
    async with TestServer(app) as server:
        transport = await open_websocket(
            f"ws://127.0.0.1:{server.port}/", headers={}, config=TransportConfig()
        )
        await transport.send([b"one", Binary(b"two"), b"three"])
        assert [message async for message in transport] == [b"\x01", "zwölf", b""]
        assert received == ["one", b"two", "three"]

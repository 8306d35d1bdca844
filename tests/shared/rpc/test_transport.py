"""``websockets`` as a transport."""

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection, serve

from shared.rpc.ddp.frames import Binary, Outgoing
from shared.rpc.transport import TransportConfig, WebSocketTransport, open_websocket


async def test_texts_both_ways_in_one_piece() -> None:
    received: list[str | bytes] = []

    async def handler(connection: ServerConnection) -> None:
        transport = WebSocketTransport(connection)
        async for text in transport:
            received.append(text)
            await transport.send([b"one", "zwölf".encode(), b"x" * 100_000])
            await transport.close(1000, "done")

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}/websocket"
        transport = await open_websocket(url, headers={}, config=TransportConfig())
        await transport.send([b"hello"])
        texts = [text async for text in transport]
        assert received == ["hello"]
        assert texts == ["one", "zwölf", "x" * 100_000]
        await transport.send([b"into the void"])
        await transport.close(1000, "")


async def test_texts_and_binary_messages_in_their_order() -> None:
    mixed: list[Outgoing] = [
        b"one",
        Binary(b"\x01\x02"),
        Binary(b""),
        "zwölf".encode(),
        Binary(b"x" * 100_000),
    ]
    arrived = ["one", b"\x01\x02", b"", "zwölf", b"x" * 100_000]
    received: list[str | bytes] = []

    async def handler(connection: ServerConnection) -> None:
        transport = WebSocketTransport(connection)
        async for message in transport:
            received.append(message)
            if len(received) == len(arrived):
                await transport.send(mixed)
                await transport.close(1000, "done")

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}/websocket"
        transport = await open_websocket(url, headers={}, config=TransportConfig())
        await transport.send(mixed)
        assert [message async for message in transport] == arrived
        assert received == arrived


async def test_send_waits_for_a_slow_reader() -> None:
    opened: asyncio.Queue[WebSocketTransport] = asyncio.Queue()
    done = asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        opened.put_nowait(WebSocketTransport(connection))
        await done.wait()

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        config = TransportConfig(max_message_bytes=20_000_000)
        client = await open_websocket(f"ws://127.0.0.1:{port}/", headers={}, config=config)
        transport = await opened.get()

        async def flood() -> None:
            async with asyncio.timeout(0.05):
                for _ in range(300):  # more than its queue and all buffers hold
                    await transport.send([b"x" * 1_000_000])

        with pytest.raises(TimeoutError):
            await flood()
        done.set()
        reader = client.__aiter__()
        assert len(await anext(reader)) == 1_000_000
        await client.close(1000, "")


async def test_a_message_that_is_too_long_closes_the_connection() -> None:
    async def handler(connection: ServerConnection) -> None:
        await WebSocketTransport(connection).send([b"x" * 2000])
        await connection.wait_closed()

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        config = TransportConfig(max_message_bytes=1000)
        transport = await open_websocket(f"ws://127.0.0.1:{port}/", headers={}, config=config)
        assert [text async for text in transport] == []


async def test_nobody_there() -> None:
    with pytest.raises(OSError):
        await open_websocket("ws://127.0.0.1:1/", headers={}, config=TransportConfig())

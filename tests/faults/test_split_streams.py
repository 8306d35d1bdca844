"""However the stream of bytes is cut into pieces, both ends make the same of it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from shared.rpc.client import Client
from shared.rpc.errors import MethodError
from shared.rpc.object_id import OBJECT_ID
from shared.rpc.transport import WebSocketTransport, peer_of
from tests.conformance.conftest import serving
from tests.conformance.server import ddp_server
from tests.support.ddp import Wire, method, sub
from tests.support.proxy import Line, Plan, Proxy

LONG = "π" * 40_000
PIECES = (1, 2, 7, 1_000, 0)


@asynccontextmanager
async def aiohttp_server() -> AsyncIterator[int]:
    """The port of the peer as the web service serves."""
    async with serving(ddp_server()) as url:
        yield int(url.split(":")[2].partition("/")[0])


@asynccontextmanager
async def websockets_server() -> AsyncIterator[int]:
    """The port of the peer as the jobs service serves."""
    ddp = ddp_server()

    async def handle(connection: ServerConnection) -> None:
        await ddp.serve(WebSocketTransport(connection), peer_of(connection))

    async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        yield server.sockets[0].getsockname()[1]
        await ddp.close()


def in_pieces(port: int, size: int) -> AbstractAsyncContextManager[Proxy]:
    """A proxy that writes so many bytes at a time, both ways."""
    line = Line(piece_bytes=size)
    return Proxy(port, lambda _number: Plan(line, line)).listening()


async def client_s_story(url: str) -> list[Any]:
    """What our client sees, in order."""
    story: list[Any] = []
    async with Client(url, custom_types=[OBJECT_ID]) as client:
        await client.connected()
        client.collection("items").observe(lambda *event: story.append(event))
        handle = client.subscribe("items")
        await handle.ready()
        story += [await client.call(name) for name in ("bin", "oid", "re", "lit", "dt", "nothing")]
        story.append(await client.call("touch"))
        with pytest.raises(MethodError) as caught:
            await client.call("fail")
        story.append(str(caught.value))
        await handle.stop()
    return story


async def wire_s_story(url: str) -> list[str]:
    """Every text that a raw client gets, in order."""
    async with Wire.to(url) as wire:
        story = await wire.ask(sub("s", "items"), method("1", "inf"), method("2", "fail"))
        story += await wire.ask({"msg": "unsub", "id": "s"}, "garbage", {"msg": "ping", "id": "ü"})
    return story


@pytest.mark.parametrize("server", [aiohttp_server, websockets_server])
async def test_every_fragmentation_gives_the_same_events(server: Any) -> None:
    async with server() as port:
        stories = []
        for size in PIECES:
            async with in_pieces(port, size) as proxy:
                stories.append((await client_s_story(proxy.url), await wire_s_story(proxy.url)))
    assert len(stories[0][0]) > 10
    assert all(story == stories[-1] for story in stories)


@pytest.mark.parametrize("server", [aiohttp_server, websockets_server])
@pytest.mark.parametrize("size", [1_000, 30_011])
async def test_a_long_message_in_pieces(server: Any, size: int) -> None:
    async with (
        server() as port,
        in_pieces(port, size) as proxy,
        Client(proxy.url) as client,
    ):
        await client.connected()
        assert await client.call("echo", LONG) == [LONG]

"""The WebSocket transport: frames, and how it is closed."""

import aiohttp
import pytest

from tests.web_service.sockjs.conftest import Base, endpoint


async def test_transport(base: Base) -> None:
    async with base.http.ws_connect(base.session().url + "/websocket") as socket:
        assert await socket.receive_str() == "o"
        for ignored in ("", "[]"):
            await socket.send_str(ignored)
        await socket.send_str('["a","b"]')
        await socket.send_str('"c"')
        assert [await socket.receive_str() for _ in range(3)] == ['a["a"]', 'a["b"]', 'a["c"]']


async def test_close(closing: Base) -> None:
    async with closing.http.ws_connect(closing.session().url + "/websocket") as socket:
        assert await socket.receive_str() == "o"
        assert await socket.receive_str() == 'c[3000,"Go away!"]'
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1000)
        assert message.extra == "Normal closure"


@pytest.mark.parametrize("frame", ['["a', '{"msg":"ping"}', "[5]"])
async def test_broken_framing(base: Base, frame: str) -> None:
    async with base.http.ws_connect(base.session().url + "/websocket") as socket:
        assert await socket.receive_str() == "o"
        await socket.send_str(frame)
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 3000)
        assert message.extra == "Broken framing."


async def test_a_name_can_be_used_by_several_sockets(base: Base) -> None:
    url = base.session().url + "/websocket"
    async with base.http.ws_connect(url) as one, base.http.ws_connect(url) as two:
        for socket, text in ((one, "a"), (two, "b")):
            assert await socket.receive_str() == "o"
            await socket.send_str(f'["{text}"]')
            assert await socket.receive_str() == f'a["{text}"]'


async def test_without_frames(base: Base) -> None:
    for path in ("/websocket", "/websocket/"):
        async with base.http.ws_connect(base.url + path) as socket:
            await socket.send_str("Hello world!\uffff")
            assert await socket.receive_str() == "Hello world!\uffff"


async def test_the_close_without_frames(closing: Base) -> None:
    async with closing.http.ws_connect(closing.url + "/websocket") as socket:
        message = await socket.receive()
        assert (message.data, message.extra) == (3000, "Go away!")


async def test_what_is_no_websocket_is_refused(base: Base) -> None:
    for path in ("/0/0/websocket", "/websocket"):
        assert (await base.get(path))[0] == 400
        status, _, headers = await base.ask("POST", path)
        assert status == 405
        assert "GET" in headers["Allow"]


async def test_heartbeats() -> None:
    async with (
        Base.of(endpoint(heartbeat_seconds=0.01)) as base,
        base.http.ws_connect(base.at("/sockjs").session().url + "/websocket") as socket,
    ):
        assert [await socket.receive_str() for _ in range(3)] == ["o", "h", "h"]


async def test_a_frame_that_is_too_long() -> None:
    async with (
        Base.of(endpoint(max_message_bytes=100)) as base,
        base.http.ws_connect(base.at("/sockjs").session().url + "/websocket") as socket,
    ):
        assert await socket.receive_str() == "o"
        await socket.send_str('["' + 100 * "x" + '"]')
        assert (await socket.receive()).data == 1009

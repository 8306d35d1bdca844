"""Who may use which session, how many there may be, and what ends them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from shared.rpc.transport import Peer, Transport
from tests.support.waiting import eventually
from tests.web_service.sockjs.conftest import Base, echo, endpoint
from web_service.auth import COOKIE, token_of
from web_service.problems import Problem

ANN = f"{COOKIE}=ann"
BOB = f"{COOKIE}=bob"
OURS = "http://ours.test"


async def user_id(request: web.Request) -> str | None:
    return token_of(request.headers) or None


async def say_who(transport: Transport, peer: Peer, *, user_id: str | None = None) -> None:
    await transport.send([f"{user_id} {'cookie' in peer.headers}".encode()])
    await echo(transport, peer)


def ours_only(headers: Mapping[str, str]) -> bool:
    return headers.get("Origin") in (None, OURS)


async def test_the_cookie_logs_in() -> None:
    async with Base.of(endpoint(say_who, user_id=user_id)) as top:
        base = top.at("/sockjs")
        session = base.session()
        assert await session.poll(Cookie=ANN) == b"o\n"
        assert await session.poll(Cookie=ANN) == b'a["ann True"]\n'
        async with base.session().stream("GET", "/eventsource", Cookie=ANN) as stream:
            await stream.read(b'\r\ndata: o\r\n\r\ndata: a["ann True"]\r\n\r\n')
        for path, first in (
            ("/0/0/websocket", ["o", 'a["ann True"]']),
            ("/websocket", ["ann True"]),
        ):
            async with base.http.ws_connect(base.url + path, headers={"Cookie": ANN}) as socket:
                assert [await socket.receive_str() for _ in first] == first


async def test_a_script_element_logs_nobody_in() -> None:
    async with Base.of(endpoint(say_who, user_id=user_id)) as top:
        session = top.at("/sockjs").session()
        assert (await session.get("/jsonp?c=x", Cookie=ANN))[1] == b'/**/x("o");\r\n'
        answer = await session.get("/jsonp?c=x", Cookie=ANN)
        assert answer[1] == b'/**/x("a[\\"None False\\"]");\r\n'


@pytest.mark.parametrize("cookie", ["", BOB, f"{COOKIE}=\xff"])
async def test_a_session_is_for_the_login_that_opened_it(cookie: str) -> None:
    async with Base.of(endpoint(say_who, user_id=user_id)) as top:
        session = top.at("/sockjs").session()
        assert await session.poll(Cookie=ANN) == b"o\n"
        for verb, path in (
            *(("POST", "/xhr"), ("POST", "/xhr_streaming"), ("POST", "/xhr_send")),
            *(("GET", "/eventsource"), ("GET", "/jsonp?c=x"), ("POST", "/jsonp_send")),
        ):
            assert (await session.ask(verb, path, '["x"]', Cookie=cookie))[0] == 404
        await session.send('["x"]', Cookie=ANN)


async def test_pages_of_other_sites_get_no_answer_that_they_can_read() -> None:
    async with Base.of(endpoint(origin_allowed=ours_only)) as top:
        base = top.at("/sockjs")
        for origin in ("http://foreign.test", "null"):
            status, _, headers = await base.get("/info", Origin=origin)
            assert status == 200
            assert "Access-Control-Allow-Origin" not in headers
            assert headers["Vary"] == "Origin"
            for verb, path in (
                *(("POST", "/xhr"), ("POST", "/xhr_streaming")),
                *(("GET", "/eventsource"), ("GET", "/jsonp?c=x")),
            ):
                status, _, headers = await base.session().ask(verb, path, Origin=origin)
                assert status == 403
                assert "Access-Control-Allow-Origin" not in headers
        _, _, headers = await base.get("/info", Origin=OURS)
        assert headers["Access-Control-Allow-Origin"] == OURS


async def test_as_many_sessions_as_there_may_be() -> None:
    async with Base.of(endpoint(max_sessions=2)) as top:
        base = top.at("/sockjs")
        sessions = [base.session() for _ in range(3)]
        assert [await session.poll() for session in sessions[:2]] == [b"o\n"] * 2
        status, body, headers = await sessions[2].ask("POST", "/xhr")
        assert (status, body, headers["Retry-After"]) == (503, b"Too many sessions.\n", "5")
        await sessions[0].send('["a"]')
        assert await sessions[0].poll() == b'a["a"]\n'


async def test_posts_that_are_too_long() -> None:
    async with Base.of(endpoint(max_message_bytes=100)) as top:
        session = top.at("/sockjs").session()
        assert await session.poll() == b"o\n"
        assert (await session.ask("POST", "/xhr_send", '["' + "x" * 100 + '"]'))[0] == 413
        await session.send('["a"]')
        assert await session.poll() == b'a["a"]\n'


async def test_posts_at_once_keep_their_order() -> None:
    half_sent, another_came = asyncio.Event(), asyncio.Event()

    def note(_headers: Mapping[str, str]) -> bool:
        another_came.set()
        return True

    async def slow_body() -> AsyncIterator[bytes]:
        yield b'["first",'
        half_sent.set()
        await another_came.wait()
        yield b'"second"]'

    async with Base.of(endpoint(origin_allowed=note)) as top:
        session = top.at("/sockjs").session()
        assert await session.poll() == b"o\n"
        async with asyncio.TaskGroup() as group:
            group.create_task(session.send(slow_body()))
            await half_sent.wait()
            group.create_task(session.send('["third"]', Origin=OURS))
        texts = b""
        while texts.count(b'"') < 6:
            texts += await session.poll()
        assert texts.replace(b"]\na[", b",") == b'a["first","second","third"]\n'


async def test_a_failure_is_told_and_logged() -> None:
    async def fail(_transport: Transport, _peer: Peer, *, user_id: str | None = None) -> None:
        raise RuntimeError("a secret")

    async with Base.of(endpoint(fail)) as top:
        session = top.at("/sockjs").session()
        with capture_logs() as logs:
            assert await session.poll() == b"o\n"
            assert await session.poll() == b'c[1011,"internal error"]\n'
        assert [entry["event"] for entry in logs] == ["sockjs.session_failed"]
        assert await top.at("/sockjs").session().poll() == b"o\n"  # others are not concerned


async def test_the_end_of_the_service_ends_sessions() -> None:
    ended: list[str] = []

    async def serve(transport: Transport, peer: Peer, *, user_id: str | None = None) -> None:
        try:
            await echo(transport, peer)
        finally:
            ended.append("session")

    sockjs = endpoint(serve)
    async with Base.of(sockjs) as top:
        assert await top.at("/sockjs/0/name").poll() == b"o\n"
    assert ended == ["session"]
    assert "name" not in sockjs._sessions


async def test_a_session_is_forgotten() -> None:
    sockjs = endpoint(disconnect_seconds=0.01)
    async with Base.of(sockjs) as top:
        session = top.at("/sockjs/0/name")
        assert await session.poll() == b"o\n"
        await eventually(lambda: "name" not in sockjs._sessions)
        assert (await session.ask("POST", "/xhr_send", '["x"]'))[0] == 404
        assert await session.poll() == b"o\n"


async def test_every_session_is_admitted_and_leaves() -> None:
    here: list[str] = []

    def admit(peer: Peer) -> Callable[[], None]:
        if len(here) == 2:
            raise Problem(429, "full", "It is full.")
        here.append(peer.address)
        return lambda: here.remove(peer.address)

    async with Base.of(endpoint(prefix="/few", admit=admit)) as few:
        base = few.at("/few")
        polling, other = base.session(), base.session()
        assert await polling.poll() == b"o\n"
        async with base.http.ws_connect(f"{base.session().url}/websocket") as socket:
            assert await socket.receive_str() == "o"
            assert here == ["127.0.0.1"] * 2
            status, body, headers = await other.ask("POST", "/xhr", Origin="http://a.example")
            assert (status, body) == (429, b"It is full.\n")
            assert headers["Access-Control-Allow-Origin"] == "http://a.example"
            for path in ("/websocket", "/000/a/websocket"):
                with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                    await base.http.ws_connect(base.url + path)
        await eventually(lambda: len(here) == 1)
        assert await other.poll() == b"o\n"
    assert here == []

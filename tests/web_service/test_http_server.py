"""HTTP at its edges: clients that are slow, silent, or talk nonsense."""

import json
from collections.abc import AsyncIterator

import pytest

from shared.models.database import Database
from tests.support.raw_http import UPGRADE, RawHttp
from tests.support.web import Web, running_web

# The one that is not tested must not be the one that acts.
LONG = 60.0

# Frames of a WebSocket without a payload; the client's is masked.
PING, PONG = b"\x89\x80\x00\x00\x00\x00", b"\x8a\x00"


@pytest.fixture
async def web(idle_database: Database) -> AsyncIterator[Web]:
    async with running_web(idle_database, follows=False) as web:
        yield web


@pytest.fixture
async def hasty_web(idle_database: Database) -> AsyncIterator[Web]:
    """One that waits no longer than a quarter of a second for the head of a request."""
    async with running_web(
        idle_database, follows=False, web={"headerSeconds": 0.25, "keepAliveSeconds": LONG}
    ) as web:
        yield web


async def test_who_says_nothing_is_closed(hasty_web: Web) -> None:
    async with RawHttp.to(hasty_web.port) as http:
        assert await http.is_closed()


async def test_who_dribbles_is_closed(hasty_web: Web) -> None:
    async with RawHttp.to(hasty_web.port) as http:
        await http.send(b"GET /version HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        await http.dribble_until_closed()


async def test_who_dribbles_in_a_later_request_is_closed(hasty_web: Web) -> None:
    async with RawHttp.to(hasty_web.port) as http:
        assert (await http.ask("GET /version")).status == 200
        await http.send(b"GET /version HTTP/1.1\r\nHost: ")
        await http.dribble_until_closed()


async def test_a_head_in_pieces_is_one(web: Web) -> None:
    async with RawHttp.to(web.port) as http:
        for _ in range(2):
            for piece in (b"GET /vers", b"ion HTTP/1.1\r\nHo", b"st: localhost\r\n", b"\r\n"):
                await http.send(piece)
            assert (await http.answer()).status == 200


async def test_an_idle_connection_is_closed(idle_database: Database) -> None:
    settings = {"headerSeconds": LONG, "keepAliveSeconds": 0.05}
    async with (
        running_web(idle_database, follows=False, web=settings) as web,
        RawHttp.to(web.port) as http,
    ):
        assert (await http.ask("GET /version")).status == 200
        assert await http.is_closed()


async def test_a_live_connection_is_not_idle(hasty_web: Web) -> None:
    async with RawHttp.to(hasty_web.port) as http, RawHttp.to(hasty_web.port) as other:
        assert (await http.ask("GET /websocket", UPGRADE)).status == 101
        assert await other.is_closed()  # its time was up, and so was that of the first
        assert await http.frame_after(PING) == PONG


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS to a plain port\r\n\r\n",
            400,
            "bad-http",
        ),
        (b"GET\r\n\r\n", 400, "bad-http"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400, "bad-http"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400, "bad-http"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431, "head-too-large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431, "head-too-large"),
    ],
)
async def test_what_is_no_http_gets_a_problem(
    web: Web, sent: bytes, status: int, code: str
) -> None:
    async with RawHttp.to(web.port) as http:
        await http.send(sent)
        answer = await http.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert await http.is_closed()


async def test_an_upgrade_on_an_unknown_path_is_not_found_at_once(web: Web) -> None:
    async with RawHttp.to(web.port) as http:
        answer = await http.ask("GET /nowhere", UPGRADE)
        assert (answer.status, json.loads(answer.body)["code"]) == (404, "not-found")


async def test_what_is_no_upgrade_is_refused(web: Web) -> None:
    async with RawHttp.to(web.port) as http:
        answer = await http.ask("GET /websocket")
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "bad-request")


@pytest.mark.parametrize("path", ["/websocket", "/websocket/", "/websocket?a=b"])
async def test_where_it_listens(web: Web, path: str) -> None:
    async with RawHttp.to(web.port) as http:
        assert (await http.ask(f"GET {path}", UPGRADE)).status == 101

"""The transports over HTTP, byte for byte, as the SockJS protocol's own tests have them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from tests.support.waiting import eventually
from tests.web_service.sockjs.conftest import Base, endpoint
from tests.web_service.sockjs.test_pages import NOT_CACHED

PRELUDE = b"h" * 2048 + b"\n"
ANOTHER = b'c[2010,"Another connection still open"]\n'
GO_AWAY = b'c[3000,"Go away!"]\n'

KILLER = "".join(
    f"\\u{code:04x}"
    for code in range(0xFF, 0x10000)
    if re.match("[\u200c-\u200f\u2028-\u202f\u2060-\u206f\ufff0-\uffff]", chr(code))
)
"""All that a server has to escape, escaped."""


@pytest.mark.parametrize("path", ["/a/a", "/_/_", "/1/", "/abcdefgh_i-j%20/abcdefg_i-j%20"])
async def test_any_names_of_server_and_session(base: Base, path: str) -> None:
    assert await base.at(path + "x").poll() == b"o\n"


@pytest.mark.parametrize("path", ["//", "/a./a", "/a/a.", "/./.", "/", "///"])
async def test_names_have_no_dots_and_are_not_empty(base: Base, path: str) -> None:
    for verb in ("GET", "POST"):
        assert (await base.ask(verb, path + "/xhr"))[0] == 404


async def test_the_name_of_the_server_is_ignored(base: Base) -> None:
    session = base.session()
    other = Base(base.http, session.url.replace("/000/", "/999/"))
    assert await session.poll() == b"o\n"
    await session.send('["a"]')
    assert await other.poll() == b'a["a"]\n'


async def test_polling(base: Base) -> None:
    session = base.session()
    status, body, headers = await session.ask("POST", "/xhr", Origin="test")
    assert (status, body) == (200, b"o\n")
    assert headers["Content-Type"] == "application/javascript; charset=UTF-8"
    assert headers["Cache-Control"] == NOT_CACHED
    assert headers["Access-Control-Allow-Origin"] == "test"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    status, body, headers = await session.ask("POST", "/xhr_send", '["x","y"]', Origin="test")
    assert (status, body) == (204, b"")
    assert headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert headers["Cache-Control"] == NOT_CACHED
    assert headers["Access-Control-Allow-Origin"] == "test"
    assert await session.poll() == b'a["x","y"]\n'


async def test_posts_to_no_session(base: Base) -> None:
    assert (await base.session().ask("POST", "/xhr_send", '["x"]'))[0] == 404
    assert (await base.session().ask("POST", "/jsonp_send", '["x"]'))[0] == 404


@pytest.mark.parametrize(
    ("body", "why"),
    [('["x', b"Broken JSON encoding."), ("", b"Payload expected."), ('"x"', b"Payload expected.")],
)
async def test_broken_posts_harm_nothing(base: Base, body: str, why: bytes) -> None:
    session = base.session()
    await session.poll()
    assert (await session.ask("POST", "/xhr_send", body))[:2] == (500, why)
    await session.send("[]")
    await session.send('["a"]')
    assert await session.poll() == b'a["a"]\n'


CONTENT_TYPES = [
    "text/plain",
    "T",
    "application/json",
    "application/xml",
    "text/xml; charset=utf-8",
]


async def test_any_content_type(base: Base) -> None:
    session = base.session()
    await session.poll()
    for content_type in CONTENT_TYPES:
        await session.send('["a"]', Content_Type=content_type)
    assert await session.poll() == b'a["a","a","a","a","a"]\n'


async def test_what_browsers_would_mangle_is_escaped(base: Base) -> None:
    session = base.session()
    await session.poll()
    await session.send(json.dumps([json.loads(f'"{KILLER}"')], ensure_ascii=False))
    assert await session.poll() == f'a["{KILLER}"]\n'.encode()


async def test_streaming(base: Base) -> None:
    session = base.session()
    async with session.stream("POST", "/xhr_streaming", Origin="test") as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"] == "application/javascript; charset=UTF-8"
        assert stream.headers["Cache-Control"] == NOT_CACHED
        assert stream.headers["Access-Control-Allow-Origin"] == "test"
        assert stream.headers["Transfer-Encoding"] == "chunked"
        await stream.read(PRELUDE + b"o\n")
        await session.send('["x"]')
        await stream.read(b'a["x"]\n')


async def test_a_streaming_response_ends_at_its_limit(base: Base) -> None:
    session = base.session()
    text = '"' + "x" * 128 + '"'
    async with session.stream("POST", "/xhr_streaming") as stream:
        await stream.read(PRELUDE + b"o\n")
        for _ in range(31):
            await session.send(f"[{text}]")
            await stream.read(f"a[{text}]\n".encode())
        assert await stream.rest() == b""
    await session.send('["next"]')
    async with session.stream("POST", "/xhr_streaming") as stream:
        await stream.read(PRELUDE + b'a["next"]\n')


async def test_event_source(base: Base) -> None:
    session = base.session()
    async with session.stream("GET", "/eventsource") as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert stream.headers["Cache-Control"] == NOT_CACHED
        await stream.read(b"\r\ndata: o\r\n\r\n")
        await session.send('["x"]')
        await stream.read(b'data: a["x"]\r\n\r\n')
        await session.send(r'["  \u0000\n\r 100%"]')
        await stream.read(rb'data: a["  \u0000\n\r 100%25"]' + b"\r\n\r\n")
        text = '"' + "x" * 4096 + '"'
        await session.send(f"[{text}]")
        await stream.read(f"data: a[{text}]\r\n\r\n".encode())
        assert await stream.rest() == b""


async def test_jsonp(base: Base) -> None:
    session = base.session()
    status, body, headers = await session.get("/jsonp?c=%63allback")
    assert (status, body) == (200, b'/**/callback("o");\r\n')
    assert headers["Content-Type"] == "application/javascript; charset=UTF-8"
    assert headers["Cache-Control"] == NOT_CACHED
    assert headers["X-Content-Type-Options"] == "nosniff"
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    status, body, headers = await session.ask("POST", "/jsonp_send", "d=%5B%22x%22%5D", **form)
    assert (status, body) == (200, b"ok")
    assert headers["Content-Type"] == "text/plain; charset=UTF-8"
    status, body, _ = await session.ask("POST", "/jsonp_send", '["%61"]', Content_Type="text/plain")
    assert (status, body) == (200, b"ok")
    assert (await session.get("/jsonp?c=x"))[1] == b'/**/x("a[\\"x\\",\\"%61\\"]");\r\n'
    for broken, why in (
        ("d=%5B%22x", b"Broken JSON encoding."),
        ("", b"Payload expected."),
        ("d=", b"Payload expected."),
        ("p=p", b"Payload expected."),
        ("&".join(["d=[]"] * 9), b"Payload expected."),
    ):
        assert (await session.ask("POST", "/jsonp_send", broken, **form))[:2] == (500, why)


@pytest.mark.parametrize("callback", ["%20", "*", "abc(", "abc%28", "a" * 33])
async def test_bad_callbacks(base: Base, callback: str) -> None:
    answer = await base.get(f"/a/a/jsonp?c={callback}")
    assert answer[:2] == (500, b'invalid "callback" parameter')
    assert (await base.get("/a/a/jsonp"))[:2] == (500, b'"callback" parameter required')


@pytest.mark.parametrize("path", ["eventsource", "jsonp?c=x", "websocket"])
async def test_asking_for_headers_opens_nothing(base: Base, path: str) -> None:
    assert (await base.ask("HEAD", f"/a/head/{path}"))[0] == 405
    assert (await base.ask("POST", "/a/head/xhr_send", "[]"))[0] == 404


async def test_closed_by_the_server(closing: Base) -> None:
    session = closing.session()
    assert await session.poll() == b"o\n"
    assert await session.poll() == GO_AWAY
    assert await session.poll() == GO_AWAY
    await session.send('["late"]')
    assert (await session.get("/jsonp?c=x"))[1] == b'/**/x("c[3000,\\"Go away!\\"]");\r\n'
    async with session.stream("POST", "/xhr_streaming") as stream:
        assert await stream.rest() == PRELUDE + GO_AWAY


async def test_a_streaming_response_ends_with_the_session(closing: Base) -> None:
    async with closing.session().stream("POST", "/xhr_streaming") as stream:
        assert await stream.rest() == PRELUDE + b"o\n" + GO_AWAY


async def test_a_second_receiver_is_sent_away(base: Base) -> None:
    session = base.session()
    async with session.stream("POST", "/xhr_streaming") as first:
        await first.read(PRELUDE + b"o\n")
        async with session.stream("POST", "/xhr_streaming") as second:
            assert await second.rest() == PRELUDE + ANOTHER
        assert await session.poll() == ANOTHER
        await session.send('["a"]')
        await first.read(b'a["a"]\n')


@pytest.mark.parametrize("path", ["/xhr", "/xhr_streaming"])
async def test_a_receiver_that_is_cut_off_ends_the_session(path: str) -> None:
    sockjs = endpoint()
    async with Base.of(sockjs) as base:
        session = base.at("/sockjs/0/name")
        assert await session.poll() == b"o\n"
        async with connection(base.url) as (_, writer):
            writer.write(f"POST /sockjs/0/name{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            opened = sockjs._sessions.find("name", "")
            assert opened is not None
            await eventually(lambda: opened._cut is not None)
            assert await session.poll() == ANOTHER
        await eventually(lambda: "name" not in sockjs._sessions)
        assert await session.poll() == b"o\n"


async def test_http_1_0(base: Base, closing: Base) -> None:
    status, headers, body = await raw(base.url, "GET", "/echo", "HTTP/1.0")
    assert status == 200
    assert b"transfer-encoding" not in headers.lower()
    assert body == b"Welcome to SockJS!\n"
    status, headers, body = await raw(base.url, "POST", "/close/0/old/xhr_streaming", "HTTP/1.0")
    assert status == 200
    assert b"transfer-encoding" not in headers.lower()
    assert b"content-length" not in headers.lower()
    assert body == PRELUDE + b"o\n" + GO_AWAY


async def raw(url: str, verb: str, path: str, version: str) -> tuple[int, bytes, bytes]:
    """Status, headers and body of an answer, read until the server closes the connection."""
    async with connection(url) as (reader, writer):
        writer.write(f"{verb} {path} {version}\r\nHost: x\r\n\r\n".encode())
        headers, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return int(headers.split()[1]), headers, body


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()

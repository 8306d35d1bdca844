"""What needs no session: greeting, info, iframe page, and the answers to OPTIONS."""

import json
import re

import pytest

from tests.web_service.sockjs.conftest import Base, endpoint

NOT_CACHED = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
IFRAME = """<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="/lib/sockjs.js"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"""


@pytest.mark.parametrize("path", ["", "/"])
async def test_greeting(base: Base, path: str) -> None:
    status, body, headers = await base.get(path)
    assert (status, body) == (200, b"Welcome to SockJS!\n")
    assert headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert "Set-Cookie" not in headers


NOT_FOUND = ["/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/"]


@pytest.mark.parametrize("path", NOT_FOUND)
async def test_other_paths_are_not_there(base: Base, path: str) -> None:
    assert (await base.get(path))[0] == 404


IFRAMES = ["", "-a", "-", "-0.1.2", "-0.1.2abc-dirty.2144"]


@pytest.mark.parametrize("version", IFRAMES)
async def test_the_iframe_page(base: Base, version: str) -> None:
    for query in ("", "?t=1234"):
        status, body, headers = await base.get(f"/iframe{version}.html{query}")
        assert (status, body.decode()) == (200, IFRAME)
        assert headers["Content-Type"] == "text/html; charset=UTF-8"
        assert headers["Cache-Control"] == "public, max-age=31536000"
        assert headers["Expires"]
        assert "Last-Modified" not in headers
        assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]


async def test_the_iframe_page_is_not_sent_twice(base: Base) -> None:
    _, _, headers = await base.get("/iframe.html")
    status, body, again = await base.get("/iframe.html", If_None_Match=headers["ETag"])
    assert (status, body) == (304, b"")
    assert "Content-Type" not in again


@pytest.mark.parametrize(
    "path",
    ["/iframe.htm", "/iframe", "/IFRAME.HTML", "/iframe.HTML", "/iframe.xml", "/iframe-/.html"],
)
async def test_malformed_iframe_paths(base: Base, path: str) -> None:
    assert (await base.get(path))[0] == 404


async def test_without_a_client_there_is_no_iframe_page(closing: Base) -> None:
    assert (await closing.get("/iframe.html"))[0] == 404


async def test_who_may_hold_the_iframe_page_is_told() -> None:
    chosen = endpoint(client_url="https://cdn.test/s.js", frame_ancestors=["https://app.test"])
    async with Base.of(chosen) as base:
        _, body, headers = await base.get("/sockjs/iframe.html")
    assert b'src="https://cdn.test/s.js"' in body
    policy = headers["Content-Security-Policy"]
    assert "script-src https://cdn.test/s.js 'sha256-" in policy
    assert policy.endswith("frame-ancestors 'self' https://app.test")


async def test_info(base: Base) -> None:
    status, body, headers = await base.get("/info", Origin="http://page.test")
    assert status == 200
    pattern = rb'\{"websocket":true,"origins":\["\*:\*"\],"cookie_needed":false,"entropy":\d+\}'
    assert re.fullmatch(pattern, body)
    assert headers["Content-Type"] == "application/json; charset=UTF-8"
    assert headers["Cache-Control"] == NOT_CACHED
    assert headers["Access-Control-Allow-Origin"] == "http://page.test"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"] == "Origin"
    _, other, _ = await base.get("/info")
    assert 0 <= json.loads(other)["entropy"] < 2**32
    assert other != body


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/info", "OPTIONS, GET"),
        ("/abc/abc/xhr", "OPTIONS, POST"),
        ("/abc/abc/xhr_send", "OPTIONS, POST"),
        ("/abc/abc/xhr_streaming", "OPTIONS, POST"),
    ],
)
@pytest.mark.parametrize("origin", ["test", "null"])
async def test_options(base: Base, path: str, methods: str, origin: str) -> None:
    status, body, headers = await base.ask(
        "OPTIONS", path, Origin=origin, Access_Control_Request_Headers="a, b, c"
    )
    assert (status, body) == (204, b"")
    assert headers["Cache-Control"] == "public, max-age=31536000"
    assert headers["Expires"]
    assert headers["Access-Control-Max-Age"] == "31536000"
    assert headers["Access-Control-Allow-Methods"] == methods
    assert headers["Access-Control-Allow-Headers"] == "a, b, c"
    assert headers["Access-Control-Allow-Origin"] == origin
    assert headers["Access-Control-Allow-Credentials"] == "true"


async def test_headers_that_were_not_asked_for_are_not_allowed(base: Base) -> None:
    _, _, headers = await base.ask("OPTIONS", "/abc/abc/xhr", Origin="test")
    assert "Access-Control-Allow-Headers" not in headers

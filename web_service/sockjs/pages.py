"""What SockJS answers without a session, and the headers of all its answers."""

import base64
import hashlib
import html
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
from aiohttp import web

from web_service.sockjs.config import SockJsConfig

OriginAllowed = Callable[[Mapping[str, str]], bool]
"""Whether the page that sent a request with these headers may use the service."""

NOT_CACHED = {"Cache-Control": "no-store, no-cache, no-transform, must-revalidate, max-age=0"}
PLAIN = {"Content-Type": "text/plain; charset=UTF-8"}

_YEAR = timedelta(days=365)
_SCRIPT = "\n    document.domain = document.domain;\n    SockJS.bootstrap_iframe();\n  "
_IFRAME = f"""<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="%s"></script>
  <script>{_SCRIPT}</script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"""


def cors(headers: Mapping[str, str], origin_allowed: OriginAllowed) -> dict[str, str]:
    """What lets the asking page read the answer; nothing for a page that may not."""
    origin = headers.get("Origin")
    if origin is None:
        allowed = {"Access-Control-Allow-Origin": "*"}
    elif origin_allowed(headers):
        allowed = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
        }
    else:
        return {"Vary": "Origin"}
    if asked := headers.get("Access-Control-Request-Headers"):
        allowed["Access-Control-Allow-Headers"] = asked
    return {**allowed, "Vary": "Origin"}


def greeting() -> web.Response:
    return web.Response(body=b"Welcome to SockJS!\n", headers=PLAIN)


def info(headers: Mapping[str, str]) -> web.Response:
    """What a client asks first: what there is, and a number to seed its randomness with."""
    answer = {
        "websocket": True,
        "origins": ["*:*"],
        "cookie_needed": False,
        "entropy": secrets.randbits(32),
    }
    return web.Response(
        body=orjson.dumps(answer),
        headers={**headers, **NOT_CACHED, "Content-Type": "application/json; charset=UTF-8"},
    )


def options(headers: Mapping[str, str], method: str) -> web.Response:
    """The answer to a browser that asks beforehand whether a page may send ``method``."""
    return web.Response(
        status=204,
        headers={
            **headers,
            **_cached(),
            "Access-Control-Allow-Methods": f"OPTIONS, {method}",
            "Access-Control-Max-Age": str(int(_YEAR.total_seconds())),
        },
    )


def iframe(request: web.Request, config: SockJsConfig) -> web.Response:
    """The page in which old browsers run the client for a page of another origin.

    What asks from in there asks from our own origin. So it is only for those who may.
    """
    url = config.client_url
    body = (_IFRAME % html.escape(url)).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers={"ETag": etag, **_cached()})
    script_hash = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    ancestors = " ".join(("'self'", *config.frame_ancestors))
    source = "'self'" if url.startswith("/") else url
    return web.Response(
        body=body,
        headers={
            **_cached(),
            "Content-Type": "text/html; charset=UTF-8",
            "ETag": etag,
            "Content-Security-Policy": (
                f"default-src 'none'; connect-src 'self'; "
                f"script-src {source} 'sha256-{script_hash}'; "
                f"frame-ancestors {ancestors}"
            ),
            "X-Content-Type-Options": "nosniff",
        },
    )


def refusal(status: int, text: str, headers: Mapping[str, str]) -> web.Response:
    """An error in SockJS's own form: a plain text."""
    return web.Response(status=status, text=text, headers={**headers, **NOT_CACHED, **PLAIN})


def _cached() -> dict[str, str]:
    return {
        "Cache-Control": f"public, max-age={int(_YEAR.total_seconds())}",
        "Expires": format_datetime(datetime.now(UTC) + _YEAR, usegmt=True),
    }

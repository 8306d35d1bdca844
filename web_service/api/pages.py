"""The browser's part: one page for every path that the browser routes, and its assets."""

from pathlib import Path

from aiohttp import web

from web_service.body import json_response
from web_service.keys import PUBLIC, UI

_PATHS = ("/", "/login", "/convert", "/reports", "/jobs")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_ASSET_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}


async def page(request: web.Request) -> web.StreamResponse:
    """The one page; what it shows is decided in the browser, by the path."""
    return _file(request.app[UI] / "index.html", _HEADERS)


async def asset(request: web.Request) -> web.StreamResponse:
    """A file whose name holds a hash of its contents, so it may be kept for ever."""
    return _file(request.app[UI] / "assets" / request.match_info["name"], _ASSET_HEADERS)


async def icon(request: web.Request) -> web.StreamResponse:
    return _file(request.app[UI] / request.path.removeprefix("/"), _HEADERS)


async def public_settings(request: web.Request) -> web.Response:
    """The settings' ``public`` part, for the page and for anyone else."""
    return json_response(request.app[PUBLIC])


def _file(path: Path, headers: dict[str, str]) -> web.StreamResponse:
    if not path.is_file():
        raise web.HTTPNotFound(text="There is nothing here.")
    return web.FileResponse(path, headers=headers)


routes = [
    *(web.get(path, page) for path in _PATHS),
    web.get("/assets/{name:[A-Za-z0-9._-]+}", asset),
    web.get("/favicon.svg", icon),
    web.get("/api/settings", public_settings),
]

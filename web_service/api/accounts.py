"""Log in, log out, who am I."""

from typing import Any

import msgspec
from aiohttp import web

from shared.contracts.images import MAX_PIXELS
from shared.models.session_store import session_id
from shared.models.users import User
from web_service.auth import COOKIE, ShortText, Who, token_of
from web_service.body import json_body, json_response
from web_service.keys import AUTH, LOGINS, PEERS, UPLOADS
from web_service.peers import peer_of


class Credentials(msgspec.Struct, frozen=True):
    """Body of ``POST /api/login``."""

    username: ShortText
    password: ShortText


async def log_in(request: web.Request) -> web.Response:
    credentials = await json_body(request, Credentials)
    auth = request.app[AUTH]
    user, session = await auth.log_in(
        Who(username=credentials.username),
        credentials.password,
        request.app[PEERS].address(peer_of(request)),
    )
    response = json_response(
        {**_identity(request, user), "token": session.token, "tokenExpires": session.expires_at}
    )
    auth.set_cookie(response, session.token)
    return response


async def log_out(request: web.Request) -> web.Response:
    """End the session, and the live connections that were made with it."""
    token = token_of(request.headers)
    if token:
        await request.app[LOGINS].log_out(session_id(token))
    response = web.Response(status=204)
    response.del_cookie(COOKIE)
    return response


async def me(request: web.Request) -> web.Response:
    return json_response(_identity(request, await request.app[AUTH].user(request)))


def _identity(request: web.Request, user: User) -> dict[str, Any]:
    """Who somebody is, and what they may send: the page says so before they choose."""
    return {
        "id": str(user.id),
        "username": user.username,
        "role": user.role,
        "limits": {
            "fileBytes": request.app[UPLOADS].max_bytes,
            "imagePixels": MAX_PIXELS,
        },
    }


routes = [
    web.post("/api/login", log_in),
    web.post("/api/logout", log_out),
    web.get("/api/me", me),
]

"""Who is asking: a session cookie or a bearer token, and where a request may come from."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import structlog
from aiohttp import web
from bson import ObjectId

from shared.models.passwords import Password
from shared.models.session_store import SessionStore, Token
from shared.models.user_store import UserStore
from shared.models.users import User
from shared.rpc.addresses import network_of
from shared.rpc.errors import MethodError
from shared.rpc.rate_limit import Call, RateLimiter, Rule, each
from web_service.problems import Problem

log = structlog.get_logger()

COOKIE = "tandem_session"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


_LOGIN_SECONDS = 10.0
"""In how long one address may try so many logins as the settings allow."""


class AuthConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How sessions are kept, and how often they may be asked for."""

    session_for: timedelta
    """How long a browser keeps the cookie."""
    secure_cookies: bool
    trusted_origins: Collection[str]
    """Other origins (``https://app.example.org``) whose pages may use this service."""
    logins_per_address: int
    """Logins by password that one address may try in ten seconds."""


ShortText = Annotated[str, msgspec.Meta(max_length=1024)]


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a login by password is for: one of these."""

    username: ShortText = ""
    id: ShortText = ""
    email: ShortText = ""
    """Meteor's clients may ask for it; no user has one here."""

    @property
    def is_one(self) -> bool:
        """Whether it says who, and only once."""
        return sum(map(bool, (self.username, self.id, self.email))) == 1


class Auth:
    """Logs people in, and tells who sent a request.

    A session is one random token, kept hashed. It serves as the cookie of a browser, as
    a bearer token, and as DDP's resume token.
    """

    def __init__(self, users: UserStore, sessions: SessionStore, config: AuthConfig) -> None:
        self._users = users
        self._sessions = sessions
        self._config = config
        by_address = Rule(
            limit=config.logins_per_address, seconds=_LOGIN_SECONDS, client_address=each
        )
        self._limiter = RateLimiter([by_address])

    async def log_in(self, who: Who, password: Password, address: str) -> tuple[User, Token]:
        """The user, and a token of a new session. ``address`` is the client's.

        Raises:
            Problem: 401, for an unknown user and a wrong password alike; 429, too many
                logins were tried from there.
        """
        self._count(address)
        user = await self._users.check(await self._find(who), password)
        if user is None:
            log.info("user.refused", address=address)
            raise Problem(401, "bad-credentials", "The username or the password is wrong.")
        log.info("user.logged_in", user=str(user.id), address=address)
        return user, await self._sessions.create(user)

    async def _find(self, who: Who) -> User | None:
        if who.username:
            return await self._users.by_name(who.username)
        return await self._users.get(ObjectId(who.id)) if ObjectId.is_valid(who.id) else None

    def _count(self, address: str) -> None:
        login = Call(
            type="method",
            name="login",
            user_id=None,
            connection_id="",
            client_address=network_of(address),
        )
        try:
            self._limiter.check(login, asyncio.get_running_loop().time())
        except MethodError as error:
            wait = error.details["timeToReset"] / 1000
            raise Problem(429, "too-many-requests", error.reason, retry_after=wait) from None

    async def session_of(self, token: str) -> tuple[User, Token] | None:
        """The user whose session ``token`` stands for, and until when it does."""
        return await self._sessions.find(token)

    async def has_expired(self, token: str) -> bool:
        """Whether ``token`` was somebody's until its time was up, not long ago."""
        return await self._sessions.has_expired(token)

    async def user(self, request: web.Request) -> User:
        """Who sent ``request``.

        Raises:
            Problem: 401, nobody that is logged in.
        """
        user = await self._find_user(request)
        if user is None:
            raise Problem(401, "not-logged-in", "Please log in.")
        return user

    async def user_id(self, request: web.Request) -> str | None:
        """The id of who sent ``request``, if it was somebody that is logged in."""
        user = await self._find_user(request)
        return None if user is None else str(user.id)

    async def _find_user(self, request: web.Request) -> User | None:
        token = token_of(request.headers)
        session = await self.session_of(token) if token else None
        return None if session is None else session[0]

    def set_cookie(self, response: web.StreamResponse, token: str) -> None:
        response.set_cookie(
            COOKIE,
            token,
            max_age=int(self._config.session_for.total_seconds()),
            httponly=True,
            samesite="Lax",
            secure=self._config.secure_cookies,
        )

    def origin_allowed(self, headers: Mapping[str, str]) -> bool:
        """Whether the page that sent this (if a page did) is one of ours."""
        origin = headers.get("Origin")
        if origin is None:
            return True
        return (
            urlsplit(origin).netloc == headers.get("Host") or origin in self._config.trusted_origins
        )

    @web.middleware
    async def origin_middleware(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Refuse what another site's page makes a browser send with our cookie (CSRF)."""
        upgrading = request.headers.get("Upgrade", "").lower() == "websocket"
        if (request.method not in _SAFE_METHODS or upgrading) and not self.origin_allowed(
            request.headers
        ):
            raise Problem(403, "bad-origin", "This page may not use this service.")
        return await handler(request)


def token_of(headers: Mapping[str, str]) -> str:
    """The token that a request carries, in its Authorization header or its cookie.

    ``headers`` are looked up by names in lower case.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    for cookie in headers.get("cookie", "").split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == COOKIE:
            return value
    return ""

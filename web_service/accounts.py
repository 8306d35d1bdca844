"""Meteor's accounts over DDP: the methods by which its clients log in and out.

``createUser``, ``forgotPassword`` and the like are not here: who gets an account is decided
elsewhere.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from bson import ObjectId

from shared.models.passwords import Password, PasswordDigest
from shared.models.session_store import Token, session_id
from shared.models.users import User
from shared.rpc.ejson import UNDEFINED
from shared.rpc.errors import MethodError
from shared.rpc.server import Method, MethodContext, Publication, Session, Subscription
from web_service.auth import Auth, ShortText, Who
from web_service.logins import Logins
from web_service.peers import Peers
from web_service.problems import Problem, telling
from web_service.user_feed import UserFeed

_ASKED_FOR_BY_METEOR = ("meteor.loginServiceConfiguration", "meteor_autoupdate_clientVersions")
"""Subscriptions that a stock Meteor bundle makes unasked: empty here, but ready."""


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The one parameter of ``login``: a resume token, or a user and a password."""

    resume: str | None = None
    user: Who | None = None
    password: ShortText | PasswordDigest | None = None

    def __post_init__(self) -> None:
        if self.password and not self.resume and not (self.user and self.user.is_one):
            raise ValueError("user must have exactly one of username, id and email")


class Accounts:
    """Logs connections in and out, as Meteor's accounts packages answer."""

    def __init__(self, auth: Auth, peers: Peers, logins: Logins, feed: UserFeed) -> None:
        self._auth = auth
        self._peers = peers
        self._logins = logins
        self._feed = feed

    async def run(self) -> None:
        """Follow what happens to users and their logins, until cancelled."""
        async with asyncio.TaskGroup() as group:
            _ = group.create_task(self._logins.run())
            _ = group.create_task(self._feed.run())

    @property
    def methods(self) -> Mapping[str, Method]:
        own: dict[str, Method] = {
            "login": self._log_in,
            "logout": self._log_out,
            "logoutAllClients": self._log_out_everywhere,
            "getNewToken": self._renew,
            "removeOtherTokens": self._log_out_others,
        }
        return {name: telling(method) for name, method in own.items()}

    @property
    def publications(self) -> Mapping[str, Publication]:
        return dict.fromkeys(_ASKED_FOR_BY_METEOR, _publish_nothing)

    @property
    def universal(self) -> Sequence[Publication]:
        """What everybody gets without asking."""
        return [self._feed.publish]

    def opened(self, connection: Session) -> None:
        """A connection has begun, perhaps with a token in its handshake."""
        self._logins.opened(connection)

    async def _log_in(self, context: MethodContext, asked: LoginRequest) -> dict[str, Any]:
        if asked.resume:
            (user, token), kind = await self._by_token(asked.resume), "resume"
        elif asked.user and asked.password:
            found = self._by_password(context, asked.user, asked.password)
            (user, token), kind = await found, "password"
        else:
            raise MethodError(400, "Unrecognized options for login request")
        self._logins.bind(context.session, session_id(token.token))
        await context.set_user_id(str(user.id))
        return _answer(user.id, token) | {"type": kind}

    async def _by_token(self, token: str) -> tuple[User, Token]:
        found = await self._auth.session_of(token)
        if found is None and await self._auth.has_expired(token):
            raise MethodError(403, "Your session has expired. Please log in again.")
        if found is None:
            raise MethodError(403, "You've been logged out by the server. Please log in again.")
        return found

    async def _by_password(
        self, context: MethodContext, who: Who, password: Password
    ) -> tuple[User, Token]:
        try:
            address = self._peers.address(context.session.peer)
            return await self._auth.log_in(who, password, address)
        except Problem as problem:
            raise _login_error(problem) from None

    async def _log_out(self, context: MethodContext) -> Any:
        with self._logins.leaving(context.session) as login:
            if login:
                await self._logins.log_out(login)
        await context.set_user_id(None)
        return UNDEFINED

    async def _log_out_everywhere(self, context: MethodContext) -> None:
        with self._logins.leaving(context.session):
            if context.user_id is not None:
                await self._logins.log_out_everywhere(ObjectId(context.user_id))
        await context.set_user_id(None)

    async def _renew(self, context: MethodContext) -> dict[str, Any]:
        """A new token, valid no longer than the present one, which stays valid."""
        user_id = _logged_in(context)
        token = await self._logins.renew(self._logins.of(context.session))
        if token is None:
            raise MethodError("Invalid login token")
        self._logins.bind(context.session, session_id(token.token))
        return _answer(user_id, token)

    async def _log_out_others(self, context: MethodContext) -> Any:
        user_id = _logged_in(context)
        await self._logins.log_out_others(user_id, self._logins.of(context.session))
        return UNDEFINED


async def _publish_nothing(sub: Subscription) -> None:
    sub.ready()


def _logged_in(context: MethodContext) -> ObjectId:
    if context.user_id is None:
        raise MethodError("You are not logged in.")
    return ObjectId(context.user_id)


def _answer(user_id: ObjectId, token: Token) -> dict[str, Any]:
    return {"id": str(user_id), "token": token.token, "tokenExpires": token.expires_at}


def _login_error(problem: Problem) -> MethodError:
    """Why nobody was logged in, in Meteor's words."""
    if problem.retry_after is not None:
        details = {"timeToReset": round(problem.retry_after * 1000)}
        return MethodError(problem.code, problem.detail, details)
    return MethodError(403, "Something went wrong. Please check your credentials.")

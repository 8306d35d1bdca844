"""Login sessions in MongoDB, found by a token that only the client has."""

import base64
import hashlib
import secrets
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from bson import ObjectId

from shared.models import changes
from shared.models.database import Database
from shared.models.types import Document, from_document, now, to_document
from shared.models.users import SESSIONS, USERS, Session, User

_ENDS = ({"$match": {"operationType": {"$nin": ["insert", "update", "replace"]}}},)
_IDS_AT_ONCE = 1_000


class Token(NamedTuple):
    """What a client shows to be somebody, and until when."""

    token: str
    """43 characters, 256 random bits."""
    expires_at: datetime


class SessionStore:
    """The ``sessions`` collection."""

    def __init__(self, database: Database, *, lifetime: timedelta = timedelta(days=90)) -> None:
        self._database = database
        self._sessions = database.collection(SESSIONS.name)
        self._users = database.collection(USERS.name)
        self._lifetime = lifetime

    async def create(self, user: User) -> Token:
        """Log a user in."""
        return await self._insert(user.id, now() + self._lifetime)

    async def create_beside(self, session_id: str) -> Token | None:
        """A further token of the same user, valid no longer than that session's.

        None if that session has ended.
        """
        found = await self._sessions.find_one(_valid(session_id))
        if found is None:
            return None
        session = from_document(found, Session, SESSIONS.name)
        return await self._insert(session.user_id, session.expires_at)

    async def find(self, token: str) -> tuple[User, Token] | None:
        """Who is logged in with this token and until when, or None if nobody is (any more)."""
        found = await self._sessions.find_one(_valid(session_id(token)))
        if found is None:
            return None
        session = from_document(found, Session, SESSIONS.name)
        user = await self._users.find_one({"_id": session.user_id})
        if user is None:
            return None
        return from_document(user, User, USERS.name), Token(token, session.expires_at)

    async def user_of(self, token: str) -> User | None:
        """Who is logged in with this token, or None if nobody is (any more)."""
        found = await self.find(token)
        return None if found is None else found[0]

    async def has_expired(self, token: str) -> bool:
        """Whether the token was somebody's until its time was up.

        Known only until the database deletes it, about a minute later.
        """
        expired = {"_id": session_id(token), "expiresAt": {"$lte": now()}}
        return await self._sessions.find_one(expired) is not None

    async def alive(self, session_ids: Iterable[str]) -> set[str]:
        """Those of the sessions that have not ended."""
        found = set()
        for some in _batches(session_ids):
            wanted = {"_id": {"$in": some}, "expiresAt": {"$gt": now()}}
            for session in await self._sessions.find(wanted, {"_id": 1}).to_list(None):
                found.add(session["_id"])
        return found

    async def delete(self, session_id: str) -> None:
        """Log out: the session's token is worth nothing from now on."""
        await self._sessions.delete_one({"_id": session_id})

    async def delete_others(self, user_id: ObjectId, session_id: str) -> int:
        """Log a user out everywhere but here; returns from how many sessions."""
        others = {"userId": user_id, "_id": {"$ne": session_id}}
        return (await self._sessions.delete_many(others)).deleted_count

    async def delete_all(self, user_id: ObjectId) -> None:
        """Log a user out everywhere."""
        await self._sessions.delete_many({"userId": user_id})

    async def watch_ends(self) -> AsyncGenerator[str | None, None]:
        """The id of each session that ends, by whom and how ever, for ever.

        The first is None: the ends from then on are all seen. It comes again when some may
        have been missed.
        """
        stream = changes.watch(self._database, SESSIONS.name, _ENDS)
        async with aclosing(stream):
            async for change in stream:
                yield change.id

    async def _insert(self, user_id: ObjectId, expires_at: datetime) -> Token:
        token = secrets.token_urlsafe(32)
        session = Session(
            id=session_id(token), user_id=user_id, created_at=now(), expires_at=expires_at
        )
        await self._sessions.insert_one(to_document(session))
        return Token(token, expires_at)


def session_id(token: str) -> str:
    """The id of the session that a token stands for: all that is kept of the token."""
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
    return base64.b64encode(digest).decode()


def _valid(session_id: str) -> Document:
    # The database deletes what has expired once a minute: until then we look ourselves.
    return {"_id": session_id, "expiresAt": {"$gt": now()}}


def _batches(session_ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(session_ids)
    while some := list(islice(rest, _IDS_AT_ONCE)):
        yield some

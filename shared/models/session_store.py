"""Login sessions in MongoDB, found by a token that only the client has."""

import base64
import hashlib
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from bson import ObjectId

from shared.models.database import Database
from shared.models.types import from_document, now, to_document
from shared.models.users import SESSIONS, USERS, Session, User


class Token(NamedTuple):
    """What a client shows to be somebody, and until when."""

    token: str
    """43 characters, 256 random bits."""
    expires_at: datetime


class SessionStore:
    """The ``sessions`` collection."""

    def __init__(self, database: Database, *, lifetime: timedelta = timedelta(days=90)) -> None:
        self._sessions = database.collection(SESSIONS.name)
        self._users = database.collection(USERS.name)
        self._lifetime = lifetime

    async def create(self, user: User) -> Token:
        """Log a user in."""
        token = secrets.token_urlsafe(32)
        created = now()
        session = Session(
            id=_id(token),
            user_id=user.id,
            created_at=created,
            expires_at=created + self._lifetime,
        )
        await self._sessions.insert_one(to_document(session))
        return Token(token, session.expires_at)

    async def find(self, token: str) -> tuple[User, Token] | None:
        """Who is logged in with this token and until when, or None if nobody is (any more)."""
        # The database deletes what has expired once a minute: until then we look ourselves.
        valid = {"_id": _id(token), "expiresAt": {"$gt": now()}}
        found = await self._sessions.find_one(valid)
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

    async def delete(self, token: str) -> None:
        """Log out: the token is worth nothing from now on."""
        await self._sessions.delete_one({"_id": _id(token)})

    async def delete_others(self, user_id: ObjectId, token: str) -> int:
        """Log a user out everywhere but here; returns from how many sessions."""
        others = {"userId": user_id, "_id": {"$ne": _id(token)}}
        return (await self._sessions.delete_many(others)).deleted_count


def _id(token: str) -> str:
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
    return base64.b64encode(digest).decode()

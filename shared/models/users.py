"""The documents of users and of their login sessions."""

from typing import Annotated, Literal

import msgspec
from bson import ObjectId
from msgspec import Meta, field
from pymongo import IndexModel
from pymongo.collation import Collation

from shared.models.schema import Collection
from shared.models.types import Timestamp

Role = Literal["user", "operator"]

CASE_INSENSITIVE = Collation(locale="en", strength=2)
"""How user names are compared: Anna and anna are one name."""


class User(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Somebody who can log in."""

    id: ObjectId = field(name="_id")
    username: Annotated[str, Meta(min_length=1, max_length=64)]
    role: Role
    password_hash: str
    """argon2id of the password's SHA-256 in hex, as DDP's clients send it."""
    created_at: Timestamp


class Session(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A login: whoever has its token is its user."""

    id: str = field(name="_id")
    """The token's SHA-256 in base64; the token itself is nowhere."""
    user_id: ObjectId
    created_at: Timestamp
    expires_at: Timestamp


USERS = Collection(
    "users",
    User,
    (IndexModel([("username", 1)], name="username", unique=True, collation=CASE_INSENSITIVE),),
)

SESSIONS = Collection(
    "sessions",
    Session,
    (
        IndexModel([("userId", 1)], name="user"),
        IndexModel([("expiresAt", 1)], name="expiry", expireAfterSeconds=0),
    ),
)

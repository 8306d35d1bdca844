"""Login sessions."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from shared.models.database import Database
from shared.models.passwords import PasswordHashes
from shared.models.session_store import SessionStore
from shared.models.types import now
from shared.models.user_store import UserStore
from shared.models.users import User

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
async def anna(database: Database) -> User:
    return await UserStore(database, PasswordHashes(CHEAP)).create("anna", "pw")


async def test_a_token_is_its_user(database: Database, anna: User) -> None:
    sessions = SessionStore(database)

    token, expires_at = await sessions.create(anna)

    assert len(token) == 43
    assert timedelta(days=89) < expires_at - now() <= timedelta(days=90)
    assert await sessions.user_of(token) == anna
    for wrong in ("", token[:-1], token + "x", "\ud800"):
        assert await sessions.user_of(wrong) is None


async def test_the_token_itself_is_not_stored(database: Database, anna: User) -> None:
    token, _ = await SessionStore(database).create(anna)

    stored = await database.collection("sessions").find().to_list(None)

    assert len(stored) == 1
    assert token not in str(stored)


async def test_an_expired_session_is_nobody(database: Database, anna: User) -> None:
    sessions = SessionStore(database, lifetime=timedelta(seconds=-1))

    assert await sessions.user_of((await sessions.create(anna)).token) is None


async def test_a_session_of_a_deleted_user_is_nobody(database: Database, anna: User) -> None:
    sessions = SessionStore(database)
    token, _ = await sessions.create(anna)
    await database.collection("users").delete_one({"_id": anna.id})

    assert await sessions.user_of(token) is None


async def test_logging_out_here_or_everywhere_else(database: Database, anna: User) -> None:
    sessions = SessionStore(database)
    first, second, third = [(await sessions.create(anna)).token for _ in range(3)]

    await sessions.delete(first)
    assert await sessions.user_of(first) is None
    assert await sessions.user_of(second) == anna

    assert await sessions.delete_others(anna.id, second) == 1
    assert await sessions.user_of(second) == anna
    assert await sessions.user_of(third) is None

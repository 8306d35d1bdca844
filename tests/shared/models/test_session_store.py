"""Login sessions."""

from contextlib import aclosing
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from shared.models.database import Database
from shared.models.passwords import PasswordHashes
from shared.models.session_store import SessionStore, session_id
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

    await sessions.delete(session_id(first))
    assert await sessions.user_of(first) is None
    assert await sessions.user_of(second) == anna

    assert await sessions.delete_others(anna.id, session_id(second)) == 1
    assert await sessions.user_of(second) == anna
    assert await sessions.user_of(third) is None

    await sessions.delete_all(anna.id)
    assert await sessions.user_of(second) is None


async def test_an_expired_session_is_not_one_that_never_was(database: Database, anna: User) -> None:
    expired = (await SessionStore(database, lifetime=timedelta(seconds=-1)).create(anna)).token
    sessions = SessionStore(database)
    valid = (await sessions.create(anna)).token

    assert await sessions.has_expired(expired)
    assert not await sessions.has_expired(valid)
    assert not await sessions.has_expired("never was one")


async def test_a_further_token_is_not_valid_for_longer(database: Database, anna: User) -> None:
    brief = SessionStore(database, lifetime=timedelta(hours=1))
    token, expires_at = await brief.create(anna)
    sessions = SessionStore(database)

    further = await sessions.create_beside(session_id(token))

    assert further is not None
    assert further.expires_at == expires_at
    assert further.token != token
    assert await sessions.user_of(further.token) == await sessions.user_of(token) == anna
    await sessions.delete(session_id(token))
    assert await sessions.create_beside(session_id(token)) is None
    assert await sessions.user_of(further.token) == anna


async def test_which_of_many_are_alive(database: Database, anna: User) -> None:
    sessions = SessionStore(database)
    alive = {session_id((await sessions.create(anna)).token) for _ in range(3)}
    expired = await SessionStore(database, lifetime=timedelta(seconds=-1)).create(anna)

    others = {f"never {n}" for n in range(2_500)}
    assert await sessions.alive(others | alive | {session_id(expired.token)}) == alive
    assert await sessions.alive([]) == set()


async def test_ends_are_heard_of_and_nothing_else(database: Database, anna: User) -> None:
    sessions = SessionStore(database)
    async with aclosing(sessions.watch_ends()) as ends:
        assert await anext(ends) is None

        first = session_id((await sessions.create(anna)).token)
        second = session_id((await sessions.create(anna)).token)
        await sessions.delete(second)
        await sessions.delete_all(anna.id)

        assert [await anext(ends), await anext(ends)] == [second, first]

"""Users and their passwords."""

import asyncio
from contextlib import aclosing

import pytest
from argon2 import PasswordHasher
from bson import ObjectId

from shared.models.database import Database
from shared.models.errors import InvalidDocument, UsernameTaken
from shared.models.passwords import PasswordHashes
from shared.models.user_store import UserStore

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def users(database: Database) -> UserStore:
    return UserStore(database, PasswordHashes(CHEAP))


async def test_a_user_is_found_whatever_the_case_of_the_name(users: UserStore) -> None:
    anna = await users.create("Anna", "pw", "operator")

    assert (anna.username, anna.role) == ("Anna", "operator")
    assert await users.get(anna.id) == await users.by_name("anna") == anna
    assert await users.by_name("ann") is None
    assert await users.get(ObjectId()) is None


async def test_the_right_password_is_needed(users: UserStore) -> None:
    anna = await users.create("Anna", "pw")

    assert await users.check_password("anna", "pw") == anna
    assert await users.check_password("Anna", "pW") is None
    assert await users.check_password("nobody", "pw") is None
    assert await users.check_password("", "") is None
    assert "pw" not in anna.password_hash


async def test_a_name_is_taken_once_also_at_once(users: UserStore) -> None:
    async def taken(name: str) -> bool:
        try:
            await users.create(name, "pw")
        except UsernameTaken:
            return True
        return False

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(taken(name)) for name in ("anna", "Anna", "ANNA")]

    assert sorted(task.result() for task in tasks) == [False, True, True]


@pytest.mark.parametrize("name", ["", "x" * 65])
async def test_a_name_has_a_length(users: UserStore, name: str) -> None:
    with pytest.raises(InvalidDocument, match="username"):
        await users.create(name, "pw")


async def test_a_new_password_replaces_the_old_one(users: UserStore) -> None:
    anna = await users.create("anna", "old")

    await users.set_password(anna.id, "new")

    assert await users.check_password("anna", "old") is None
    assert await users.check_password("anna", "new") is not None


async def test_an_outdated_hash_is_made_anew_at_login(users: UserStore, database: Database) -> None:
    anna = await users.create("anna", "pw")
    today = UserStore(
        database, PasswordHashes(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    )

    assert await today.check_password("anna", "wrong") is None
    assert await users.get(anna.id) == anna
    assert await today.check_password("anna", "pw") is not None

    changed = await users.get(anna.id)
    assert changed is not None
    assert "m=16,t=2" in changed.password_hash
    assert await today.check_password("anna", "pw") == changed


async def test_changes_of_users_are_heard_of(users: UserStore, database: Database) -> None:
    anna, otto = await users.create("anna", "pw"), await users.create("otto", "pw")
    collection = database.collection("users")
    async with aclosing(users.watch()) as changes:
        assert await anext(changes) == ("resync", None, None)

        await users.create("nobody hears of", "pw")
        await collection.update_one({"_id": anna.id}, {"$set": {"role": "operator"}})
        operator = await users.get(anna.id)
        assert operator is not None
        assert operator.role == "operator"
        assert await anext(changes) == ("update", anna.id, operator)

        await collection.delete_one({"_id": otto.id})
        assert await anext(changes) == ("delete", otto.id, None)

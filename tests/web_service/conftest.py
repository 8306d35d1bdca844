"""A prepared database for the web service's tests, and people in it."""

from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher

from shared.models.database import Database, open_database
from shared.models.passwords import PasswordHashes
from shared.models.prepare import prepare
from shared.models.user_store import UserStore
from shared.models.users import User
from tests.support.stack import PASSWORD


@pytest.fixture
async def database(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    async with open_database(mongo_url, database_name) as database:
        await prepare(database)
        yield database


@pytest.fixture
async def idle_database(mongo_url: str) -> AsyncIterator[Database]:
    """One for tests that never look into it."""
    async with open_database(mongo_url, "idle") as database:
        yield database


@pytest.fixture
async def anna(database: Database) -> User:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return await UserStore(database, PasswordHashes(cheap)).create("anna", PASSWORD)

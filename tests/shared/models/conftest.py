"""The database of the store tests, once through each driver."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from pymongo import MongoClient

from shared.models.database import Database, Driver, open_database
from shared.models.prepare import COLLECTIONS, prepare
from shared.models.types import Document


@pytest.fixture(params=["pymongo", "motor"])
def driver(request: pytest.FixtureRequest) -> Driver:
    """Both of them, one after the other."""
    driver: Driver = request.param
    return driver


@pytest.fixture(scope="session")
def _reused_name(mongo_url: str) -> Iterator[str]:
    name = f"test_models_{uuid.uuid4().hex}"
    yield name
    client: MongoClient[Document]
    with MongoClient(mongo_url) as client:
        client.drop_database(name)


@pytest.fixture
async def database(mongo_url: str, _reused_name: str, driver: Driver) -> AsyncIterator[Database]:
    """A prepared, empty database; emptied again instead of dropped, which takes 0.1 s more."""
    async with open_database(mongo_url, _reused_name, driver) as database:
        await prepare(database)
        yield database
        await _empty(database)


@pytest.fixture
async def own_database(
    mongo_url: str, database_name: str, driver: Driver
) -> AsyncIterator[Database]:
    """A prepared database for a test that changes more than documents."""
    async with open_database(mongo_url, database_name, driver) as database:
        await prepare(database)
        yield database


async def _empty(database: Database) -> None:
    ours = {collection.name for collection in COLLECTIONS}
    names = await database.command({"listCollections": 1, "nameOnly": True})
    for found in names["cursor"]["firstBatch"]:
        if found["name"] in ours:
            await database.collection(found["name"]).delete_many({})
        elif not found["name"].startswith("system."):
            await database.collection(found["name"]).drop()

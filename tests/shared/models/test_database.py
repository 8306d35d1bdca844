"""What stores need of a database is the same through both drivers."""

from datetime import UTC, datetime

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import ServerSelectionTimeoutError

from shared.models.database import Database, Driver, open_database


async def test_it_is_of_the_chosen_driver(database: Database, driver: Driver) -> None:
    module = type(database.collection("jobs")).__module__
    assert module.split(".")[0] == driver


async def test_values_are_read_as_plain_python_ones(database: Database) -> None:
    things = database.collection("things")
    await things.insert_one({"_id": 1, "n": 2**40, "at": datetime(2026, 1, 1, tzinfo=UTC)})

    found = await things.find_one({"_id": 1})

    assert found is not None
    assert type(found["n"]) is int
    assert found["at"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert found["at"].tzinfo is UTC


async def test_every_write_is_journalled_by_a_majority(database: Database) -> None:
    assert database.collection("jobs").write_concern.document == {"w": "majority", "j": True}


async def test_aggregate(database: Database) -> None:
    await database.collection("things").insert_many([{"n": n} for n in range(5)])

    found = await database.aggregate("things", [{"$group": {"_id": None, "sum": {"$sum": "$n"}}}])

    assert found == [{"_id": None, "sum": 10}]


async def test_a_transaction_is_done_or_not(database: Database) -> None:
    things = database.collection("things")

    async def insert(session: AsyncClientSession) -> str:
        await things.insert_one({"_id": 1}, session=session)
        return "done"

    async def insert_and_fail(session: AsyncClientSession) -> None:
        await things.insert_one({"_id": 2}, session=session)
        raise LookupError

    assert await database.transaction(insert) == "done"
    with pytest.raises(LookupError):
        await database.transaction(insert_and_fail)
    assert [thing["_id"] async for thing in things.find()] == [1]


async def test_an_existing_collection_takes_the_new_options(database: Database) -> None:
    await database.create_collection("things", {"validator": {"n": {"$gt": 0}}})
    await database.create_collection("things", {"validator": {"n": {"$gt": 5}}})

    options = await database.collection("things").options()
    assert options["validator"] == {"n": {"$gt": 5}}


async def test_a_database_that_is_not_there_is_an_error_after_some_patience(driver: Driver) -> None:
    url = "mongodb://127.0.0.1:1/?replicaSet=rs0"
    async with open_database(url, "nowhere", driver, patience_seconds=0.2) as database:
        with pytest.raises(ServerSelectionTimeoutError):
            await database.ping()

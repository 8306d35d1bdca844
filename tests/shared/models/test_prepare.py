"""Boot makes indexes and validators, again and again, and from two services at once."""

import asyncio
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect, OperationFailure, WriteError

from shared.models import prepare as prepare_module
from shared.models.database import Database, Driver, open_database
from shared.models.jobs import NewJob, job_to_document
from shared.models.prepare import COLLECTIONS, prepare, prepare_when_up
from shared.models.types import now


async def test_it_can_be_repeated_and_run_by_several_services_at_once(
    mongo_url: str, database_name: str, driver: Driver
) -> None:
    async with open_database(mongo_url, database_name, driver) as database:
        async with asyncio.TaskGroup() as services:
            for _ in range(4):
                services.create_task(prepare(database))
        await prepare(database)

        for collection in COLLECTIONS:
            made = await database.collection(collection.name).index_information()
            wanted = {index.document["name"] for index in collection.indexes}
            assert made.keys() == wanted | {"_id_"}


async def test_a_changed_validator_replaces_the_old_one(database: Database) -> None:
    await database.command({"collMod": "jobs", "validator": {}})
    await database.collection("jobs").insert_one({"anything": "goes"})

    await prepare(database)

    with pytest.raises(WriteError, match="failed validation"):
        await database.collection("jobs").insert_one({"anything": "goes"})


@pytest.mark.parametrize(
    "change",
    [
        {"state": "lost"},
        {"attemptCount": -1},
        {"params": [1]},
        {"owner": "me"},
        {"lease": {"token": "t", "service": "s"}},
        {"attempts": [{"n": "one"}]},
    ],
)
async def test_the_database_itself_refuses_a_malformed_job(
    database: Database, change: dict[str, Any]
) -> None:
    document = job_to_document(NewJob(type="t", params={}, owner=ObjectId()).at(now()))

    with pytest.raises(WriteError, match="failed validation"):
        await database.collection("jobs").insert_one(document | change)
    await database.collection("jobs").insert_one(document | {"fieldOfANewerVersion": 1})


async def test_an_index_that_means_something_else_is_an_error(own_database: Database) -> None:
    await own_database.collection("orders").drop_index("number")
    await own_database.collection("orders").create_index([("number", -1)], name="number")

    with pytest.raises(OperationFailure, match="number"):
        await prepare(own_database)


async def test_a_database_that_comes_up_later_is_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = [AutoReconnect("no server"), AutoReconnect("no server"), None]

    async def prepared(_: Database) -> None:
        if outcome := outcomes.pop(0):
            raise outcome

    monkeypatch.setattr(prepare_module, "prepare", prepared)
    monkeypatch.setattr(prepare_module, "_RETRY_SECONDS", 0)
    await prepare_when_up(database)

    assert outcomes == []

"""A watcher sees every change, or is told that it may have missed some."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs

from scripts.supervisor import mongod
from shared.models.changes import RESYNC, Change, watch, watch_as
from shared.models.database import Database, Driver, open_database
from shared.models.errors import MalformedDocument
from shared.models.types import Document


class Watcher:
    """Collects the changes of the collection ``things``."""

    def __init__(self) -> None:
        self.changes: asyncio.Queue[Change[Document]] = asyncio.Queue()

    async def run(self, database: Database) -> None:
        async with aclosing(watch(database, "things")) as stream:
            async for change in stream:
                self.changes.put_nowait(change)

    async def next(self) -> Change[Document]:
        async with asyncio.timeout(60):
            return await self.changes.get()


@contextlib.asynccontextmanager
async def watching(database: Database) -> AsyncIterator[Watcher]:
    watcher = Watcher()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watcher.run(database))
        try:
            assert await watcher.next() == RESYNC
            yield watcher
        finally:
            task.cancel()


async def test_changes_come_in_order_with_the_document_as_it_is(database: Database) -> None:
    things = database.collection("things")
    async with watching(database) as watcher:
        made = await things.insert_one({"n": 1})
        assert await watcher.next() == Change(
            "insert", made.inserted_id, {"_id": made.inserted_id, "n": 1}
        )
        await things.update_one({}, {"$set": {"n": 2}})
        assert await watcher.next() == Change(
            "update", made.inserted_id, {"_id": made.inserted_id, "n": 2}
        )
        await things.replace_one({}, {"m": 3})
        assert await watcher.next() == Change(
            "update", made.inserted_id, {"_id": made.inserted_id, "m": 3}
        )
        await things.delete_one({})
        assert await watcher.next() == Change("delete", made.inserted_id, None)


async def test_a_dropped_collection_is_a_resync(database: Database) -> None:
    things = database.collection("things")
    async with watching(database) as watcher:
        await things.insert_one({"_id": 1})
        assert (await watcher.next()).kind == "insert"

        await things.drop()
        assert await watcher.next() == RESYNC

        await things.insert_one({"_id": 2})
        assert (await watcher.next()).id == 2


async def test_large_documents_do_not_end_the_stream(database: Database) -> None:
    things = database.collection("things")
    async with watching(database) as watcher:
        await things.insert_one({"_id": 1})
        await watcher.next()
        await things.update_one({"_id": 1}, {"$set": {"data": b"x" * 9_000_000}})
        assert (await watcher.next()).kind == "update"


async def test_a_document_that_can_not_be_read_does_not_stop_the_others(
    database: Database,
) -> None:
    def read(document: Document) -> int:
        if "n" not in document:
            raise MalformedDocument("things", document["_id"], "no n")
        n: int = document["n"]
        return n

    async with aclosing(watch_as(database, "things", read)) as stream:
        assert await anext(stream) == RESYNC
        await database.collection("things").insert_many([{"_id": 1}, {"_id": 2, "n": 5}])
        await database.collection("things").delete_one({"_id": 1})
        with capture_logs() as logs:
            assert await anext(stream) == Change[int]("insert", 2, 5)
        assert await anext(stream) == Change[int]("delete", 1, None)
        assert [(e["event"], e["id"]) for e in logs] == [("changes.malformed", "1")]


@pytest.mark.parametrize("signal", ["kill", "terminate"])
async def test_a_restart_of_the_database_loses_nothing(
    tmp_path: Path, driver: Driver, signal: str
) -> None:
    binary = mongod.find(os.environ)
    server = mongod.start(binary, tmp_path)
    port = server.port
    try:
        async with open_database(server.url, "restart", driver) as database:
            things = database.collection("things")
            async with watching(database) as watcher:
                await things.insert_one({"_id": 1})
                assert (await watcher.next()).id == 1

                assert server.process is not None
                getattr(server.process, signal)()
                server.process.wait()
                server = mongod.start(binary, tmp_path)
                assert server.port == port
                await things.insert_one({"_id": 2})

                assert await watcher.next() == Change("insert", 2, {"_id": 2})
    finally:
        server.stop()


class BrokenStream:
    """A change stream whose connection is gone, at a position that no server knows."""

    resume_token: ClassVar = {"_data": "8263"}

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        raise AutoReconnect("connection closed")


async def test_a_position_that_the_server_does_not_know_is_a_resync(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = type(database).changes
    positions: list[Mapping[str, Any] | None] = []

    @contextlib.asynccontextmanager
    async def first_broken(
        self: Database, name: str, pipeline: Any, resume_after: Mapping[str, Any] | None
    ) -> AsyncIterator[Any]:
        positions.append(resume_after)
        if len(positions) == 1:
            yield BrokenStream()
        else:
            async with opened(self, name, pipeline, resume_after) as stream:
                yield stream

    monkeypatch.setattr(type(database), "changes", first_broken)
    async with watching(database) as watcher:
        assert await watcher.next() == RESYNC
        await database.collection("things").insert_one({"_id": 1})
        assert (await watcher.next()).id == 1

    assert positions == [None, BrokenStream.resume_token, None]

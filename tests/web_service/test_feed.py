"""However many people look: one query, one change stream, one text, and nobody misses a thing."""

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect
from structlog.testing import capture_logs
from typing_extensions import override

from shared.models.changes import Change
from shared.models.database import Database, open_database
from shared.models.job_store import JobStore
from shared.models.jobs import Job, NewJob
from shared.models.prepare import prepare
from shared.models.types import Owner
from shared.ops.background import running
from tests.support.waiting import eventually
from tests.web_service.lookers import Looker
from web_service import feed as feed_module
from web_service.feed import Feed, Newest, One
from web_service.job_view import job_view

ANN, BOB = ObjectId(), ObjectId()
MINE = Newest(ANN, 3)


class Store(JobStore):
    """The job store; it can be told to answer late, or not at all."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.queries = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.errors: list[Exception] = []
        self.changes = 0

    @override
    async def watch(self) -> AsyncGenerator[Change[Job], None]:
        async with aclosing(super().watch()) as stream:
            async for change in stream:
                yield change
                self.changes += 1

    @override
    async def mine(
        self, owner: Owner, limit: int = 50, before: ObjectId | None = None
    ) -> list[Job]:
        self.queries += 1
        if self.errors:
            raise self.errors.pop()
        found = await super().mine(owner, limit, before)
        await self.answers.wait()
        return found

    async def add(self, owner: ObjectId = ANN, n: int = 0) -> ObjectId:
        new = NewJob(type="system.echo", owner=owner, params={"n": n}, max_attempts=1)
        return (await self.submit(new)).id

    async def remove(self, *ids: ObjectId) -> None:
        await self._jobs.delete_many({"_id": {"$in": list(ids)}})

    async def drop(self) -> None:
        await self._jobs.drop()


class World:
    """A feed that runs, and those who look at it."""

    def __init__(self, store: Store, group: asyncio.TaskGroup) -> None:
        self.store = store
        self.feed = Feed("jobs", store, job_view)
        self._group = group

    def look(self, query: Newest | One = MINE, *, max_documents: int | None = None) -> Looker:
        looker = Looker(max_documents)
        self._group.create_task(self._publish(looker, query))
        return looker

    async def see(self, query: Newest | One = MINE) -> Looker:
        looker = self.look(query)
        await eventually(lambda: looker.is_ready or looker.is_ended)
        return looker

    async def _publish(self, looker: Looker, query: Newest | One) -> None:
        try:
            await self.feed.publish(looker.sub, query)
        except Exception as error:  # noqa: BLE001 -- as the server does
            looker.sub.error(error)


@asynccontextmanager
async def world_of(database: Database) -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        world = World(Store(database), group)
        async with running(world.feed.run()):
            await eventually(lambda: world.store.changes == 1)  # the first resync
            yield world


@pytest.fixture
async def world(mongo_url: str, database_name: str) -> AsyncIterator[World]:
    async with open_database(mongo_url, database_name) as database:
        await prepare(database)
        async with world_of(database) as world:
            yield world


async def test_those_who_see_the_same_share_query_stream_and_texts(world: World) -> None:
    job_id = await world.store.add()
    world.store.answers.clear()
    lookers = [world.look() for _ in range(3)]
    await eventually(lambda: world.store.queries == 1)
    world.store.answers.set()
    await eventually(lambda: all(looker.is_ready for looker in lookers))
    lookers.append(await world.see())
    assert world.store.queries == 1

    await world.store.request_cancel(job_id, ANN)
    for looker in lookers:
        await eventually(lambda one=looker: one.documents[job_id]["state"] == "cancelled")  # type: ignore[misc]
    told = [[text for text in looker.texts if b"fields" in text] for looker in lookers]
    assert [len(texts) for texts in told] == [2] * 4
    assert len({id(texts[0]) for texts in told}) == 1
    assert len({id(texts[1]) for texts in told}) == 1


async def test_lists_that_overlap_share_their_documents(world: World) -> None:
    job_id = await world.store.add()
    queries = (One(ANN, job_id), Newest(ANN, 1), Newest(ANN, 2))
    lookers = [await world.see(query) for query in queries]
    await world.store.request_cancel(job_id, ANN)
    for looker in lookers:
        await eventually(lambda one=looker: one.documents[job_id]["state"] == "cancelled")  # type: ignore[misc]
    for kind in (b'{"msg":"added"', b'{"msg":"changed"'):
        texts = [t for looker in lookers for t in looker.texts if t.startswith(kind)]
        assert len(texts) == 3
        assert len({id(text) for text in texts}) == 1


async def test_each_sees_only_their_own(world: World) -> None:
    ann, bob = await world.see(), await world.see(Newest(BOB, 3))
    of_ann, of_bob = await world.store.add(ANN), await world.store.add(BOB)
    await eventually(lambda: of_ann in ann.documents and of_bob in bob.documents)
    assert list(ann.documents) == [of_ann]
    assert list(bob.documents) == [of_bob]
    assert (await world.see(One(BOB, of_ann))).is_ended


async def test_the_list_keeps_to_the_newest_also_when_one_of_them_goes(world: World) -> None:
    ids = [await world.store.add(n=n) for n in range(4)]
    looker = await world.see()
    assert list(looker.documents) == ids[:0:-1]
    ids.append(await world.store.add())
    await eventually(lambda: set(looker.documents) == set(ids[2:]))
    await world.store.remove(ids[3])
    await eventually(lambda: set(looker.documents) == {ids[1], ids[2], ids[4]})
    assert [set((await world.see()).documents)] == [set(looker.documents)]


async def test_one_document_comes_and_goes(world: World) -> None:
    job_id = await world.store.add()
    looker = await world.see(One(ANN, job_id))
    assert list(looker.documents) == [job_id]
    await world.store.remove(job_id)
    await eventually(lambda: looker.documents == {})
    assert not looker.is_ended


async def test_what_changes_while_the_database_is_asked_is_not_lost(world: World) -> None:
    changing, going = await world.store.add(), await world.store.add()
    bystander = await world.see(Newest(ANN, 9))
    world.store.answers.clear()
    looker = world.look()
    await eventually(lambda: world.store.queries == 2)
    await world.store.request_cancel(changing, ANN)
    await world.store.remove(going)
    await eventually(lambda: list(bystander.documents) == [changing])
    world.store.answers.set()
    await eventually(lambda: looker.is_ready)
    assert {i: job["state"] for i, job in looker.documents.items()} == {changing: "cancelled"}


async def test_everything_is_looked_up_again_when_changes_may_have_been_missed(
    world: World,
) -> None:
    await world.store.add()
    looker = await world.see()
    assert len(looker.documents) == 1
    await world.store.drop()
    await eventually(lambda: looker.documents == {})
    job_id = await world.store.add()
    await eventually(lambda: list(looker.documents) == [job_id])


async def test_who_waits_is_told_that_the_database_does_not_answer(world: World) -> None:
    world.store.errors.append(AutoReconnect("gone"))
    with capture_logs():
        assert (await world.see()).is_ended
    assert (await world.see()).is_ready


async def test_who_looks_goes_on_when_the_database_does_not_answer_for_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_PAUSE_SECONDS", 0.01)
    ids = [await world.store.add() for _ in range(4)]
    looker = await world.see()
    world.store.errors = [AutoReconnect("gone"), AutoReconnect("gone")]
    await world.store.remove(ids[3])
    await eventually(lambda: set(looker.documents) == set(ids[:3]))
    assert world.store.errors == []


async def test_an_answer_that_can_not_be_read_ends_the_list(world: World) -> None:
    ids = [await world.store.add() for _ in range(4)]
    looker, other = await world.see(), await world.see(Newest(BOB, 3))
    world.store.errors = [ValueError("malformed")]
    with capture_logs():
        await world.store.remove(ids[3])
        await eventually(lambda: looker.is_ended)
    job_id = await world.store.add(BOB)
    await eventually(lambda: list(other.documents) == [job_id])
    assert not other.is_ended


async def test_a_session_with_too_many_documents_ends_its_subscription_only(world: World) -> None:
    await world.store.add()
    small = world.look(max_documents=1)
    looker = await world.see()
    await eventually(lambda: small.is_ready)
    await world.store.add()
    await eventually(lambda: len(looker.documents) == 2)
    assert small.is_ended
    assert b'"error":"too-many-documents"' in small.texts[-1]
    assert small.documents == {}


async def test_what_can_not_be_written_ends_those_who_would_see_it_and_no_others(
    world: World,
) -> None:
    def view(job: Job) -> dict[str, Any]:
        return {"n": object() if job.params["n"] == 666 else job.params["n"]}

    world.feed._view = view
    looker, other = await world.see(), await world.see(Newest(BOB, 3))
    with capture_logs():
        await world.store.add(n=666)
        await eventually(lambda: looker.is_ended)
    job_id = await world.store.add(BOB, n=1)
    await eventually(lambda: other.documents == {job_id: {"n": 1}})


async def test_a_crowd_is_told_in_turns_and_who_comes_meanwhile_sees_the_same(
    world: World,
) -> None:
    crowd = [world.look() for _ in range(250)]
    await eventually(lambda: all(looker.is_ready for looker in crowd))
    late: list[Looker] = []
    told_before: list[int] = []

    def somebody_comes() -> None:
        if not late:
            late.append(world.look())
            late[0].on_told = lambda: told_before.append(
                sum(len(looker.texts) > 1 for looker in crowd)
            )

    for looker in crowd:
        looker.on_told = somebody_comes
    job_id = await world.store.add()
    await eventually(lambda: all(looker.documents for looker in crowd))
    assert 0 < told_before[0] < 250
    await world.store.request_cancel(job_id, ANN)
    for looker in crowd + late:
        await eventually(lambda one=looker: one.documents[job_id]["state"] == "cancelled")  # type: ignore[misc]


async def test_nothing_is_kept_of_lists_that_nobody_looks_at(world: World) -> None:
    job_id = await world.store.add()
    world.store.answers.clear()
    lookers = [world.look(Newest(ANN, limit)) for limit in (1, 2, 2)]
    await eventually(lambda: world.store.queries == 2)
    lookers[0].leave()
    world.store.answers.set()
    await eventually(lambda: lookers[1].is_ready)
    lookers.append(await world.see(One(ANN, job_id)))
    for looker in lookers[1:]:
        looker.leave()
    await world.store.request_cancel(job_id, ANN)
    await world.see()  # what came before has been dealt with
    feed = world.feed
    assert list(feed._lists) == [MINE]
    assert list(feed._by_key) == [ANN]
    assert [len(lists) for lists in feed._by_document.values()] == [1]
    gc.collect()
    assert len(feed._documents) == 1

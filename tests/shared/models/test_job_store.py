"""What people ask of durable jobs, and what keeps the collection in order."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from shared.models.database import Database
from shared.models.errors import InvalidDocument, InvalidPayload, KeyTaken, MalformedDocument
from shared.models.job_store import JobStore
from shared.models.payloads import MAX_PAYLOAD_BYTES
from shared.models.types import ANY, now
from tests.shared.models.job_samples import (
    FAILED,
    LEASE_SECONDS,
    ME,
    SOMEBODY_ELSE,
    let_leases_expire,
    make_due,
    new,
    submitted_and_claimed,
)


@pytest.fixture
def store(database: Database) -> JobStore:
    return JobStore(database)


async def test_a_submitted_job_is_available_with_its_parameters(store: JobStore) -> None:
    params = {"$a.b%": [1, 2.0, None, b"x"], "at": datetime(2026, 1, 1, tzinfo=UTC)}

    job = await store.submit(new(params=params, priority=3, max_attempts=2))

    assert await store.get(job.id, ME) == job
    assert (job.state, job.params, job.priority, job.max_attempts) == ("available", params, 3, 2)
    assert job.created_at == job.run_at


async def test_a_job_for_later_is_scheduled(store: JobStore) -> None:
    later = datetime(2040, 1, 1, 0, 0, 0, 123_456, timezone(timedelta(hours=2)))

    job = await store.submit(new(run_at=later))

    assert job.state == "scheduled"
    assert await store.get(job.id, ME) == job
    assert (await store.submit(new(run_at=now() - timedelta(days=1)))).state == "available"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"params": {"n": 2**70}}, r"params\.n is an integer"),
        ({"params": {"data": b"x" * (MAX_PAYLOAD_BYTES + 1)}}, "put it into a file"),
        ({"params": {"data": b"x" * 17_000_000}}, "put it into a file"),
        ({"params": [1]}, r"Expected `object`, got `array` - at `\$\.params`"),
        ({"key": ""}, r"\$\.key"),
        ({"max_attempts": 0}, r"\$\.maxAttempts"),
        ({"timeout": "long"}, r"\$\.timeout"),
        ({"run_at": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001
    ],
)
async def test_what_cannot_be_stored_is_refused_and_leaves_nothing(
    store: JobStore, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidDocument, match=message):
        await store.submit(new(**changes))
    assert await store.mine(ME) == []


async def test_a_repeated_submit_returns_the_unfinished_job(store: JobStore) -> None:
    first = await store.submit(new(key="k"))

    assert (await store.submit(new(key="k"))).id == first.id
    assert (await store.submit(new(key="other"))).id != first.id
    assert (await store.submit(new(key="k", owner=SOMEBODY_ELSE))).id != first.id
    (claimed,) = [job for job in await store.claim("s", ["a"], 9, 9) if job.id == first.id]
    assert (await store.submit(new(key="k"))).id == first.id

    assert await store.complete(first.id, claimed.token)
    assert (await store.submit(new(key="k"))).id != first.id


async def test_of_many_submits_at_once_with_one_key_one_makes_the_job(store: JobStore) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(store.submit(new(key="k"))) for _ in range(30)]

    assert len({task.result().id for task in tasks}) == 1
    assert len(await store.mine(ME)) == 1


async def test_a_submit_can_be_part_of_a_transaction(store: JobStore, database: Database) -> None:
    first = await store.submit(new(key="k"))

    async def twice(session: AsyncClientSession) -> list[ObjectId]:
        jobs = [await store.submit(new(key=key), session) for key in ("k", "k2", "k2")]
        return [job.id for job in jobs]

    async def rolled_back(session: AsyncClientSession) -> None:
        await store.submit(new(), session)
        raise LookupError

    ids = await database.transaction(twice)
    assert ids[0] == first.id
    assert ids[1] == ids[2]
    with pytest.raises(LookupError):
        await database.transaction(rolled_back)
    assert len(await store.mine(ME)) == 2


async def test_jobs_of_others_are_not_there(store: JobStore) -> None:
    job = await store.submit(new())

    assert await store.get(job.id, SOMEBODY_ELSE) is None
    assert await store.mine(SOMEBODY_ELSE) == []
    assert await store.request_cancel(job.id, SOMEBODY_ELSE) is None
    assert await store.run_again(job.id, SOMEBODY_ELSE) is None
    assert await store.get(job.id, ANY) == job == await store.get(job.id, ME)


async def test_mine_are_the_newest_first_page_by_page(store: JobStore) -> None:
    ids = [(await store.submit(new())).id for _ in range(5)]

    page = await store.mine(ME, limit=2)
    rest = await store.mine(ME, before=page[-1].id)

    assert [job.id for job in page + rest] == ids[::-1]


async def test_a_waiting_job_is_cancelled_at_once(store: JobStore) -> None:
    job = await store.submit(new(run_at=now() + timedelta(days=1)))

    cancelled = await store.request_cancel(job.id, ME)

    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert cancelled.ended_at is not None
    assert cancelled.expires_at is not None
    assert await store.claim("s", ["a"], 9, 9) == []


async def test_an_executing_job_is_marked_and_a_finished_one_left_alone(store: JobStore) -> None:
    claimed = await submitted_and_claimed(store)

    marked = await store.request_cancel(claimed.id, ME)
    assert marked is not None
    assert (marked.state, marked.cancel_requested) == ("executing", True)

    assert await store.cancelled(claimed.id, claimed.token)
    finished = await store.get(claimed.id, ME)
    assert finished is not None
    assert (finished.state, finished.attempts[-1].outcome) == ("cancelled", "cancelled")
    assert await store.request_cancel(claimed.id, ME) == finished


async def test_a_finished_job_runs_again_with_fresh_attempts_and_its_history(
    store: JobStore,
) -> None:
    first = await submitted_and_claimed(store, max_attempts=1)
    await store.discard(first.id, first.token, FAILED)

    again = await store.run_again(first.id, ME)

    assert again is not None
    assert (again.state, again.attempt_count, again.error) == ("available", 0, None)
    assert (again.ended_at, again.expires_at, again.cancel_requested) == (None, None, False)
    assert await store.run_again(first.id, ME) == again
    (second,) = await store.claim("s", ["a"], 1, LEASE_SECONDS)
    assert [(attempt.n, attempt.outcome) for attempt in second.attempts] == [
        (1, "discarded"),
        (2, None),
    ]
    assert second.attempt_count == 1


async def test_a_job_whose_key_was_taken_does_not_run_again(store: JobStore) -> None:
    job = await store.submit(new(key="k"))
    await store.request_cancel(job.id, ME)
    await store.submit(new(key="k"))

    with pytest.raises(KeyTaken):
        await store.run_again(job.id, ME)
    unchanged = await store.get(job.id, ME)
    assert unchanged is not None
    assert unchanged.state == "cancelled"


async def test_rescue_takes_jobs_from_services_that_are_gone(
    store: JobStore, database: Database
) -> None:
    dead = await submitted_and_claimed(store, max_attempts=2)
    await let_leases_expire(database)
    alive = await submitted_and_claimed(store)

    assert await store.rescue() == 1
    rescued = await store.get(dead.id, ME)
    assert rescued is not None
    assert (rescued.state, rescued.lease, rescued.attempt_count) == ("available", None, 1)
    assert rescued.attempts[0].outcome == "lost"
    assert not await store.complete(dead.id, dead.token, "late")
    assert await store.get(alive.id, ME) == alive

    await store.claim("s", ["a"], 1, LEASE_SECONDS)
    await let_leases_expire(database)
    assert await store.rescue() == 2
    discarded = await store.get(dead.id, ME)
    assert discarded is not None
    assert discarded.state == "discarded"
    assert discarded.error is not None
    assert discarded.error.code == "lost"
    assert discarded.expires_at is not None


@pytest.mark.parametrize("way", ["rescue", "release", "retry"])
async def test_a_job_that_is_to_be_cancelled_does_not_go_back_into_the_line(
    store: JobStore, database: Database, way: str
) -> None:
    job = await submitted_and_claimed(store)
    await store.request_cancel(job.id, ME)

    if way == "rescue":
        await let_leases_expire(database)
        assert await store.rescue() == 1
    elif way == "release":
        assert await store.release(job.id, job.token)
    else:
        assert await store.retry(job.id, job.token, FAILED, timedelta())

    cancelled = await store.get(job.id, ME)
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert cancelled.ended_at is not None


async def test_next_run_at_is_the_first_of_what_waits_for_its_time(
    store: JobStore, database: Database
) -> None:
    assert await store.next_run_at(["a"]) is None
    await store.submit(new())
    assert await store.next_run_at(["a"]) is None
    soon, later = now() + timedelta(hours=1), now() + timedelta(hours=2)
    await store.submit(new(run_at=later, priority=-5))
    await store.submit(new(run_at=soon, type="b"))

    assert await store.next_run_at(["a"]) == later
    assert await store.next_run_at(["a", "b"]) == soon


async def test_prune_deletes_finished_jobs_that_expired(
    store: JobStore, database: Database
) -> None:
    finished = await submitted_and_claimed(store)
    await store.complete(finished.id, finished.token)
    waiting = await store.submit(new())

    assert await store.prune() == 0
    assert await store.prune(now() + timedelta(days=15)) == 1
    assert [job.id for job in await store.mine(ME)] == [waiting.id]


async def test_a_malformed_job_is_named(store: JobStore, database: Database) -> None:
    job = await store.submit(new(params={"secret": 1}))
    await database.command({"collMod": "jobs", "validationLevel": "off"})
    await database.collection("jobs").update_one({"_id": job.id}, {"$set": {"priority": "high"}})

    with pytest.raises(MalformedDocument, match=rf"jobs: .*{job.id}.*\$\.priority") as caught:
        await store.get(job.id, ME)
    assert "secret" not in str(caught.value)


async def test_a_result_that_cannot_be_stored_leaves_the_job_as_it_was(store: JobStore) -> None:
    job = await submitted_and_claimed(store)

    with pytest.raises(InvalidPayload, match="the result is a set"):
        await store.complete(job.id, job.token, {1})
    with pytest.raises(InvalidPayload, match="put it into a file"):
        await store.complete(job.id, job.token, "x" * 17_000_000)
    assert await store.get(job.id, ME) == job


async def test_an_error_of_the_database_that_is_no_repetition_comes_through(
    own_database: Database,
) -> None:
    store = JobStore(own_database)
    await own_database.collection("jobs").create_index("type", unique=True, name="strange")
    await store.submit(new())

    with pytest.raises(DuplicateKeyError, match="strange"):
        await store.submit(new())


async def test_a_scheduled_job_becomes_claimable_when_its_time_comes(
    store: JobStore, database: Database
) -> None:
    job = await store.submit(new(run_at=now() + timedelta(hours=1)))
    assert await store.claim("s", ["a"], 9, 9) == []

    await make_due(database, job)

    assert [claimed.id for claimed in await store.claim("s", ["a"], 9, 9)] == [job.id]

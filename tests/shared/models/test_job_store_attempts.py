"""Claims and leases: one service has a job at a time, and nobody else can say anything of it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from shared.models import job_updates
from shared.models.database import Database, Driver, open_database
from shared.models.job_store import Held, JobStore
from shared.models.jobs import Job, JobError, JobFile, JobProgress, Usage, job_to_document
from shared.models.types import now
from tests.shared.models.job_samples import (
    FAILED,
    LEASE_SECONDS,
    ME,
    let_leases_expire,
    make_due,
    new,
    submitted_and_claimed,
)

Verb = Callable[[JobStore, ObjectId, str], Coroutine[Any, Any, bool]]

VERBS: dict[str, Verb] = {
    "complete": lambda store, job, token: store.complete(job, token, "late"),
    "retry": lambda store, job, token: store.retry(job, token, FAILED, timedelta()),
    "discard": lambda store, job, token: store.discard(job, token, FAILED),
    "cancelled": lambda store, job, token: store.cancelled(job, token),
    "release": lambda store, job, token: store.release(job, token),
    "progress": lambda store, job, token: store.progress(job, token, JobProgress(done=1)),
}
FINAL_VERBS = [name for name in VERBS if name != "progress"]


@pytest.fixture
def store(database: Database) -> JobStore:
    return JobStore(database)


async def test_a_claimed_job_is_executing_under_a_lease(store: JobStore) -> None:
    submitted = await store.submit(new())

    (job,) = await store.claim("service-1", ["a", "b"], 10, LEASE_SECONDS)

    assert job.lease is not None
    assert (job.state, job.lease.service, job.attempt_count) == ("executing", "service-1", 1)
    assert job.started_at is not None
    assert job.lease.expires_at == job.started_at + timedelta(seconds=LEASE_SECONDS)
    (attempt,) = job.attempts
    assert (attempt.n, attempt.token, attempt.service) == (1, job.token, "service-1")
    assert (attempt.started_at, attempt.outcome) == (job.started_at, None)
    assert await store.get(submitted.id, ME) == job
    assert await store.claim("service-2", ["a", "b"], 10, LEASE_SECONDS) == []


async def test_jobs_are_claimed_by_priority_then_time_then_age(
    store: JobStore, database: Database
) -> None:
    hour = timedelta(hours=1)
    ordinary = await store.submit(new())
    newer = await store.submit(new())
    slow = await store.submit(new(priority=5))
    urgent = await store.submit(new(priority=-1))
    overdue = await store.submit(new(run_at=now() + hour))
    await make_due(database, overdue)
    early = await store.submit(new(type="b", run_at=now() - hour))
    await store.submit(new(priority=-9, run_at=now() + hour))
    await store.submit(new(priority=-9, type="unknown"))

    first = await store.claim("s", ["a", "b"], 4, LEASE_SECONDS)
    second = await store.claim("s", ["a", "b"], 4, LEASE_SECONDS)

    assert [job.id for job in first] == [urgent.id, early.id, ordinary.id, newer.id]
    assert [job.id for job in second] == [overdue.id, slow.id]


async def test_nothing_is_claimed_for_nothing(store: JobStore) -> None:
    await store.submit(new())

    assert await store.claim("s", [], 5, LEASE_SECONDS) == []
    assert await store.claim("s", ["a"], 0, LEASE_SECONDS) == []


async def test_many_claimers_never_get_the_same_job(
    store: JobStore, database: Database, mongo_url: str, driver: Driver
) -> None:
    count = 120
    for _ in range(count):
        await store.submit(new())
    claimed: Counter[ObjectId] = Counter()

    async def claim_all(claimer: JobStore, name: str) -> None:
        while jobs := await claimer.claim(name, ["a"], 7, LEASE_SECONDS):
            claimed.update(job.id for job in jobs)

    async with (
        open_database(mongo_url, database.name, driver) as one,
        open_database(mongo_url, database.name, driver) as two,
        asyncio.TaskGroup() as group,
    ):
        for n in range(12):
            group.create_task(claim_all(JobStore((one, two)[n % 2]), f"service-{n}"))

    assert len(claimed) == count
    assert set(claimed.values()) == {1}


async def test_renewed_leases_last_longer(store: JobStore, database: Database) -> None:
    job = await submitted_and_claimed(store)
    await let_leases_expire(database)

    held = Held(job.id, job.token)
    assert await store.renew([held], LEASE_SECONDS) == {held}

    assert await store.rescue() == 0


async def test_only_leases_that_hold_are_renewed(store: JobStore, database: Database) -> None:
    lost = await submitted_and_claimed(store)
    await let_leases_expire(database)
    await store.rescue()
    (mine_again,) = await store.claim("service-1", ["a"], 1, LEASE_SECONDS)
    finished = await submitted_and_claimed(store)
    await store.complete(finished.id, finished.token)
    other = await submitted_and_claimed(store)

    held = [Held(job.id, job.token) for job in (lost, mine_again, finished, other)]
    kept = await store.renew([*held, Held(other.id, "guessed")], LEASE_SECONDS)

    assert mine_again.id == lost.id
    assert kept == {held[1], held[3]}
    assert await store.renew([], LEASE_SECONDS) == set()


async def test_progress_is_stored_and_reset_by_the_next_attempt(store: JobStore) -> None:
    job = await submitted_and_claimed(store)
    progress = JobProgress(done=3, total=10, note="$rows")

    assert await store.progress(job.id, job.token, progress)
    found = await store.get(job.id, ME)
    assert found is not None
    assert found.progress == progress

    await store.retry(job.id, job.token, FAILED, timedelta())
    (again,) = await store.claim("s", ["a"], 1, LEASE_SECONDS)
    assert again.progress is None
    assert again.error is None


async def test_complete_keeps_result_files_and_usage(store: JobStore) -> None:
    job = await submitted_and_claimed(store)
    await store.progress(job.id, job.token, JobProgress(done=10, total=10))
    file = JobFile(id=ObjectId(), filename="$a.xlsx", content_type="text/plain", size=5)
    result = {"$rows": 2**40, "a.b": [None, {"%": b"\0"}]}

    usage = Usage(pid=77, cpu_seconds=1.5, peak_bytes=2**33)
    assert await store.complete(job.id, job.token, result, [file], usage)

    done = await store.get(job.id, ME)
    assert done is not None
    assert (done.state, done.result, done.files) == ("completed", result, (file,))
    assert done.progress == JobProgress(done=10, total=10)
    assert done.ended_at is not None
    assert done.expires_at == done.ended_at + timedelta(days=14)
    (attempt,) = done.attempts
    assert (attempt.outcome, attempt.ended_at) == ("completed", done.ended_at)
    assert (attempt.pid, attempt.cpu_seconds, attempt.peak_bytes) == (77, 1.5, 2**33)


async def test_a_failed_attempt_waits_for_the_next(store: JobStore, database: Database) -> None:
    job = await submitted_and_claimed(store)

    assert await store.retry(job.id, job.token, FAILED, timedelta(hours=1), Usage(pid=5))

    waiting = await store.get(job.id, ME)
    assert waiting is not None
    (attempt,) = waiting.attempts
    assert (waiting.state, waiting.error, waiting.lease) == ("retryable", FAILED, None)
    assert attempt.ended_at is not None
    assert waiting.run_at == attempt.ended_at + timedelta(hours=1)
    assert (attempt.outcome, attempt.error, attempt.pid) == ("failed", FAILED, 5)
    assert await store.claim("s", ["a"], 1, LEASE_SECONDS) == []

    await make_due(database, job)
    (again,) = await store.claim("s", ["a"], 1, LEASE_SECONDS)
    assert (again.attempt_count, [attempt.n for attempt in again.attempts]) == (2, [1, 2])
    moment = now() + timedelta(minutes=5)
    assert await store.retry(again.id, again.token, FAILED, moment)
    assert await store.next_run_at(["a"]) == moment


async def test_a_discarded_job_says_why(store: JobStore) -> None:
    job = await submitted_and_claimed(store)
    long = JobError(
        kind="crashed", code="crashed", message="\ud800" + "m" * 5_000, traceback="t" * 50_000 + "!"
    )

    assert await store.discard(job.id, job.token, long)

    gone = await store.get(job.id, ME)
    assert gone is not None
    assert gone.state == "discarded"
    assert gone.error == gone.attempts[0].error
    assert gone.error is not None
    assert gone.error.message == "?" + "m" * (job_updates.MAX_MESSAGE_CHARACTERS - 1)
    assert len(gone.error.traceback) == job_updates.MAX_TRACEBACK_CHARACTERS
    assert gone.error.traceback.endswith("t!")


async def test_a_released_job_has_its_place_and_its_attempts_back(store: JobStore) -> None:
    job = await submitted_and_claimed(store)

    assert await store.release(job.id, job.token)

    back = await store.get(job.id, ME)
    assert back is not None
    assert (back.state, back.attempt_count, back.run_at) == ("available", 0, job.run_at)
    assert back.attempts[0].outcome == "released"


@pytest.mark.parametrize("name", VERBS)
async def test_a_stale_token_can_do_nothing(store: JobStore, database: Database, name: str) -> None:
    lost = await submitted_and_claimed(store)
    await let_leases_expire(database)
    await store.rescue()
    available = await store.get(lost.id, ME)
    assert not await VERBS[name](store, lost.id, lost.token)
    assert await store.get(lost.id, ME) == available

    (taken,) = await store.claim("service-2", ["a"], 1, LEASE_SECONDS)
    assert not await VERBS[name](store, lost.id, lost.token)
    assert not await VERBS[name](store, lost.id, "")
    assert await store.get(lost.id, ME) == taken

    assert await store.complete(taken.id, taken.token, "mine")
    completed = await store.get(lost.id, ME)
    assert not await VERBS[name](store, lost.id, lost.token)
    assert await store.get(lost.id, ME) == completed


@pytest.mark.parametrize("first", FINAL_VERBS)
async def test_an_attempt_ends_once_and_repeating_that_is_no_error(
    store: JobStore, first: str
) -> None:
    job = await submitted_and_claimed(store)
    assert await VERBS[first](store, job.id, job.token)
    ended = await store.get(job.id, ME)

    assert await VERBS[first](store, job.id, job.token)
    for other in VERBS.keys() - {first}:
        assert not await VERBS[other](store, job.id, job.token)
    assert await store.get(job.id, ME) == ended


async def test_completing_at_once_completes_once(store: JobStore, database: Database) -> None:
    job = await submitted_and_claimed(store)

    async with asyncio.TaskGroup() as group:
        ends = [group.create_task(VERBS[name](store, job.id, job.token)) for name in FINAL_VERBS]

    assert [end.result() for end in ends].count(True) == 1


async def test_an_executing_job_without_a_lease_is_rescued(
    store: JobStore, database: Database
) -> None:
    job = await submitted_and_claimed(store)
    await database.collection("jobs").update_one({"_id": job.id}, {"$set": {"lease": None}})

    assert await store.rescue() == 1
    assert [again.id for again in await store.claim("s", ["a"], 1, LEASE_SECONDS)] == [job.id]


async def test_the_history_is_bounded(store: JobStore, database: Database) -> None:
    job = await store.submit(new(max_attempts=500))
    attempts = job_updates.MAX_ATTEMPTS_KEPT + 5
    for _ in range(attempts):
        (claimed,) = await store.claim("s", ["a"], 1, LEASE_SECONDS)
        await store.release(job.id, claimed.token)

    found = await store.get(job.id, ME)

    assert found is not None
    assert [attempt.n for attempt in found.attempts] == list(range(6, attempts + 1))


@pytest.mark.parametrize("damage", [{"priority": "high"}, {"attempts": "none"}])
async def test_a_malformed_job_does_not_stop_the_others(
    store: JobStore, database: Database, damage: dict[str, Any]
) -> None:
    jobs = [await store.submit(new()) for _ in range(3)]
    await database.command({"collMod": "jobs", "validationLevel": "off"})
    await database.collection("jobs").update_one({"_id": jobs[1].id}, {"$set": damage})
    await database.command({"collMod": "jobs", "validationLevel": "moderate"})

    claimed = await store.claim("s", ["a"], 9, LEASE_SECONDS)

    assert [job.id for job in claimed] == [jobs[0].id, jobs[2].id]
    damaged = await database.collection("jobs").find_one({"_id": jobs[1].id})
    assert damaged is not None
    assert damaged["state"] == "discarded"
    assert damaged["error"]["code"] == "malformed-document"


async def test_a_claim_whose_answer_was_lost_is_found_again(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [await store.submit(new()) for _ in range(3)]
    collection = type(store._jobs)
    update_many = collection.update_many
    answers = iter([False, True])

    def losing(self: Any, *arguments: Any, **options: Any) -> Any:
        async def update() -> Any:
            done = await update_many(self, *arguments, **options)
            if not next(answers):
                raise AutoReconnect("connection closed")
            return done

        return update()

    monkeypatch.setattr(collection, "update_many", losing)
    claimed = await store.claim("s", ["a"], 9, LEASE_SECONDS)

    assert [job.id for job in claimed] == [job.id for job in jobs]
    assert {job.attempt_count for job in claimed} == {1}


def _stages(plan: dict[str, Any]) -> list[str]:
    below = [plan[key] for key in ("inputStage", "queryPlan") if key in plan]
    below += plan.get("inputStages", [])
    return [plan.get("stage", ""), *(stage for part in below for stage in _stages(part))]


async def _explained(database: Database, query: dict[str, Any]) -> dict[str, Any]:
    return await database.command({"explain": query, "verbosity": "executionStats"})


async def test_the_hot_queries_read_no_more_than_they_need(
    store: JobStore, database: Database
) -> None:
    later = now() + timedelta(days=1)

    def many(state: str, **changes: Any) -> list[dict[str, Any]]:
        jobs = (new(priority=n % 4, type="abcdef"[n % 6], **changes).at(now()) for n in range(300))
        lease = {"token": "t", "service": "s", "expiresAt": later} if state == "executing" else None
        return [job_to_document(job) | {"state": state, "lease": lease} for job in jobs]

    documents = many("available") + many("completed") + many("executing")
    documents += many("scheduled", run_at=later) + many("retryable", run_at=later)
    await database.collection("jobs").insert_many(documents)
    order = {"priority": 1, "runAt": 1, "_id": 1}
    claimable = job_updates.claimable(["a", "b", "c", "none"])
    queries: list[tuple[dict[str, Any], int]] = [
        ({"filter": claimable, "sort": order, "limit": 64, "hint": "claim"}, 64),
        ({"filter": job_updates.expired()}, 0),
        ({"filter": {"owner": ME}, "sort": {"_id": -1}, "limit": 50}, 50),
        (
            {
                "filter": {"state": {"$in": ["scheduled", "retryable"]}, "type": {"$in": ["a"]}},
                "sort": {"runAt": 1},
                "limit": 1,
                "hint": "next",
            },
            1,
        ),
    ]
    for query, found in queries:
        explained = await _explained(database, {"find": "jobs", **query})
        stages = _stages(explained["queryPlanner"]["winningPlan"])
        assert "COLLSCAN" not in stages, query
        assert "SORT" not in stages, query
        statistics = explained["executionStats"]
        assert statistics["nReturned"] == found
        # A few keys more than documents: one for each place where a scan has to look.
        assert statistics["totalKeysExamined"] <= found + 60, query


def test_a_job_without_a_lease_has_no_token() -> None:
    job: Job = new().at(now())
    with pytest.raises(ValueError, match="available"):
        assert job.token

"""Durable jobs from claim to outcome, on a real database and a real pool."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from jobs_service.executor import Executor
from jobs_service.runner import Runner, RunnerConfig, backoff_seconds
from shared.models.database import Database
from shared.models.job_store import JobStore
from shared.models.jobs import Job, NewJob
from shared.models.types import ANY
from shared.ops.background import running
from tests.support.waiting import eventually


@pytest.fixture
def store(database: Database) -> JobStore:
    return JobStore(database)


@pytest.fixture
async def runner(store: JobStore, executor: Executor) -> AsyncIterator[Runner]:
    config = RunnerConfig(service="here", concurrency=2, lease_seconds=1.0, poll_seconds=60.0)
    runner = Runner(store, executor, config)
    async with running(runner.run()):
        yield runner
        await runner.drain(0)


async def submit(store: JobStore, job_type: str, **params: Any) -> Job:
    new = NewJob(
        type=f"test.{job_type}", params=params, owner=None, max_attempts=3, backoff=0.01, timeout=5
    )
    return await store.submit(new)


async def ended(store: JobStore, job: Job) -> Job:
    async def found() -> Job | None:
        now = await store.get(job.id, ANY)
        return now if now is not None and now.ended_at else None

    result = await eventually(found)
    assert result is not None
    return result


async def test_a_submitted_job_is_run_without_waiting_for_the_poll(
    store: JobStore, runner: Runner
) -> None:
    job = await ended(store, await submit(store, "double", number=4))
    assert (job.state, job.result, job.attempts[0].service) == ("completed", 8, "here")


async def test_a_failure_is_tried_again(store: JobStore, runner: Runner) -> None:
    job = await ended(store, await submit(store, "fail", how="once"))
    assert [attempt.outcome for attempt in job.attempts] == ["failed", "completed"]
    assert job.attempts[0].error is not None
    assert job.attempts[0].error.message == "attempt 1"


async def test_after_the_last_attempt_it_is_discarded(store: JobStore, runner: Runner) -> None:
    job = await ended(store, await submit(store, "fail", how="always"))
    assert (job.state, job.attempt_count) == ("discarded", 3)
    assert "LookupError" in job.error.traceback if job.error else False


async def test_a_discard_is_not_tried_again(store: JobStore, runner: Runner) -> None:
    job = await ended(store, await submit(store, "fail", how="discard"))
    assert (job.state, job.attempt_count) == ("discarded", 1)
    assert job.error is not None
    assert (job.error.code, job.error.message) == ("not-today", "Come back tomorrow.")


async def test_unknown_types_are_left_for_those_who_know_them(
    store: JobStore, runner: Runner
) -> None:
    stranger = await submit(store, "of-tomorrow")
    await ended(store, await submit(store, "double", number=1))
    found = await store.get(stranger.id, ANY)
    assert found is not None
    assert found.state == "available"


async def test_a_lost_lease_stops_the_run_and_writes_nothing(
    store: JobStore, runner: Runner, database: Database
) -> None:
    new = NewJob(type="test.forever", params={}, owner=None, timeout=60)
    job = await store.submit(new)
    await eventually(lambda: runner.running == 1)
    theirs = {"$set": {"lease.token": "somebody else's"}}
    await database.collection("jobs").update_one({"_id": job.id}, theirs)
    await eventually(lambda: runner.running == 0)
    found = await store.get(job.id, ANY)
    assert found is not None
    assert (found.state, found.attempts[0].outcome) == ("executing", None)


_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_pause_doubles_and_has_an_end() -> None:
    base = NewJob(type="t", params={}, owner=None, backoff=2.0).at(_NOW)
    for attempts, least in ((1, 2.0), (2, 4.0), (5, 32.0), (60, 3600.0)):
        pauses = [backoff_seconds(_after(base, attempts)) for _ in range(50)]
        assert least <= min(pauses) < max(pauses) <= least * 1.25


def _after(job: Job, attempts: int) -> Job:
    return msgspec.structs.replace(job, attempt_count=attempts)

"""Every way in which a run can end becomes one outcome; files are kept, or none is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson import ObjectId

from jobs_service.executor import Executor, Outcome, Request
from jobs_service.job import Progress
from shared.models.database import Database
from shared.models.file_store import FileStore
from shared.models.types import ANY

OWNER = ObjectId()


async def run(executor: Executor, job_type: str, /, **params: Any) -> Outcome:
    request = Request(type=f"test.{job_type}", params=params, run_id="run", owner=OWNER)
    return await executor.run(request)


async def stored(files: FileStore, owner: ObjectId = OWNER) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"some words"

    file = await files.create("a.txt", "text/plain", owner, chunks(), limit=100)
    return str(file.id)


async def test_a_coroutine_runs_on_the_loop(executor: Executor) -> None:
    heard: list[Progress] = []
    request = Request(type="test.double", params={"number": 21}, run_id="run")
    outcome = await executor.run(request, heard.append)
    assert (outcome.kind, outcome.result) == ("completed", 42)
    assert heard == [Progress(1, 1, "nearly")]


async def test_a_coroutine_that_takes_too_long_is_stopped(executor: Executor) -> None:
    outcome = await run(executor, "wait")
    assert (outcome.kind, outcome.code) == ("time-limit", "time-limit")


@pytest.mark.parametrize(
    ("how", "kind", "code"),
    [
        ("discard", "discarded", "not-today"),
        ("raise", "failed", "LookupError"),
        ("timeout", "failed", "TimeoutError"),
    ],
)
async def test_what_a_coroutine_raises_is_told(
    executor: Executor, how: str, kind: str, code: str
) -> None:
    outcome = await run(executor, "fail", how=how)
    assert (outcome.kind, outcome.code) == (kind, code)
    assert outcome.permanent == (kind == "discarded")
    assert bool(outcome.traceback) == (kind == "failed")


async def test_cancelling_is_not_an_outcome(executor: Executor) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await run(executor, "wait")


@pytest.mark.parametrize(
    ("job_type", "params", "code"),
    [("nothing", {}, "unknown-type"), ("double", {"number": "x"}, "bad-params")],
)
async def test_what_can_not_be_run_is_discarded(
    executor: Executor, job_type: str, params: dict[str, Any], code: str
) -> None:
    outcome = await run(executor, job_type, **params)
    assert (outcome.kind, outcome.code) == ("discarded", code)


async def test_inputs_come_from_the_owners_files_and_outputs_go_there(
    executor: Executor, database: Database
) -> None:
    files = FileStore(database)
    outcome = await run(executor, "copy", source=await stored(files))
    assert outcome.kind == "completed", outcome
    assert outcome.result["filename"] == "copy of a.txt"
    copy = await files.get(ObjectId(outcome.result["id"]), OWNER)
    assert copy is not None
    assert outcome.files == (copy,)
    assert copy.expires_at is not None
    assert [chunk async for chunk in files.read(copy.id)] == [b"some words"]


async def test_other_peoples_files_do_not_exist(executor: Executor, database: Database) -> None:
    source = await stored(FileStore(database), ObjectId())
    outcome = await run(executor, "copy", source=source)
    assert (outcome.kind, outcome.code) == ("discarded", "file-not-found")


async def test_a_result_that_breaks_the_contract_fails_and_leaves_no_file(
    executor: Executor, database: Database
) -> None:
    outcome = await run(executor, "lie")
    assert (outcome.kind, outcome.code) == ("failed", "bad-result")
    assert await FileStore(database).mine(ANY) == []

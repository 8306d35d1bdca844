"""``kill -9`` of each part in the middle of 50 mixed durable jobs: none lost, none done twice.

The kill always falls at the same point: while job 25, a long sleep, is executing and has
said so in the database, and jobs behind it wait. "Completed exactly once" is read from
MongoDB's own oplog: every write that ever made a job ``completed``.
"""

import asyncio
import os
import signal
from collections import Counter
from typing import Any

import pytest
from pymongo import MongoClient

from tests.faults.conftest import KillableMongo
from tests.support.photos import photo
from tests.support.stack import Api, Stack
from tests.support.waiting import eventually

JOBS = 50
THE_LONG_ONE = 25
LONG_MS = 3_000


async def submit_mixed(api: Api) -> list[str]:
    """Fifty jobs: echoes, sleeps, burns, thumbnails, conversions and reports."""
    _, file = await api.upload(photo(1200, 900), "a.jpg")
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("system.echo", {"value": "x" * 1000}),
        ("system.sleep", {"ms": 30}),
        ("system.burn", {"ms": 30}),
        ("images.thumbnail", {"source": file["id"], "width": 200}),
        ("images.convert", {"source": file["id"], "format": "webp"}),
        ("reports.orders", {}),
    ]
    ids = []
    for n in range(JOBS):
        kind, params = kinds[n % len(kinds)]
        if n == THE_LONG_ONE:
            kind, params = "system.sleep", {"ms": LONG_MS}
        ids.append(await api.submit(kind, params))
    return ids


async def until_the_long_one_runs(api: Api, job_id: str) -> None:
    async def runs() -> bool:
        _, job = await api.json("GET", f"/api/jobs/{job_id}")
        return job["state"] == "executing" and job["progress"] is not None

    await eventually(runs, 60, "the long job runs")


async def assert_all_completed_once(stack: Stack, api: Api, ids: list[str]) -> None:
    for job_id in ids:
        job = await api.ended(job_id, 90)
        assert job["state"] == "completed", job
        outcomes = Counter(attempt["outcome"] for attempt in job["attempts"])
        assert outcomes["completed"] == 1, job["attempts"]
        for file in job["files"]:
            assert len(await api.download(file["id"])) == file["size"]
    assert await asyncio.to_thread(completions, stack) == dict.fromkeys(ids, 1)
    assert await asyncio.to_thread(files_without_a_job, stack) == []


def completions(stack: Stack) -> dict[str, int]:
    """How often each job was made ``completed``, from the oplog."""
    client: MongoClient[dict[str, Any]] = MongoClient(stack.mongo_url)
    with client:
        entries = client["local"]["oplog.rs"].find({"ns": f"{stack.database}.jobs", "op": "u"})
        made = Counter[str]()
        for entry in entries:
            difference = entry["o"].get("diff", {})
            changed = difference.get("u", {}) | difference.get("i", {})
            if changed.get("state") == "completed":
                made[str(entry["o2"]["_id"])] += 1
        return dict(made)


def files_without_a_job(stack: Stack) -> list[str]:
    """Outputs that no completed job names: they would be left over."""
    client: MongoClient[dict[str, Any]] = MongoClient(stack.mongo_url)
    with client:
        database = client[stack.database]
        named = {file["id"] for job in database["jobs"].find() for file in job["files"]}
        made = database["fs.files"].find({"metadata.job": {"$ne": None}})
        return [file["filename"] for file in made if file["_id"] not in named]


async def test_kill_of_a_child(stack: Stack) -> None:
    async with stack.client("ann") as api:
        ids = await submit_mixed(api)
        await until_the_long_one_runs(api, ids[THE_LONG_ONE])
        async with api.http.get(stack.jobs.url + "/readyz") as answer:
            children = (await answer.json())["pool"]["children"]
        [pid] = [child["pid"] for child in children if child["run"] == ids[THE_LONG_ONE]]
        os.kill(pid, signal.SIGKILL)
        await assert_all_completed_once(stack, api, ids)
        _, job = await api.json("GET", f"/api/jobs/{ids[THE_LONG_ONE]}")
        assert [attempt["outcome"] for attempt in job["attempts"]] == ["failed", "completed"]
        assert job["attempts"][0]["error"]["code"] == "crashed"


async def test_kill_of_the_jobs_service(stack: Stack) -> None:
    async with stack.client("ann") as api:
        ids = await submit_mixed(api)
        await until_the_long_one_runs(api, ids[THE_LONG_ONE])
        stack.jobs.kill()
        await stack.jobs.start()
        await assert_all_completed_once(stack, api, ids)
        _, job = await api.json("GET", f"/api/jobs/{ids[THE_LONG_ONE]}")
        assert [attempt["outcome"] for attempt in job["attempts"]] == ["lost", "completed"]


async def test_kill_of_the_web_service(stack: Stack) -> None:
    async with stack.client("ann") as api:
        ids = await submit_mixed(api)
        await until_the_long_one_runs(api, ids[THE_LONG_ONE])
        stack.web.kill()
        await stack.web.start()
        await assert_all_completed_once(stack, api, ids)


async def test_kill_of_mongod(stack: Stack, mongo: KillableMongo) -> None:
    async with stack.client("ann") as api:
        ids = await submit_mixed(api)
        await until_the_long_one_runs(api, ids[THE_LONG_ONE])
        mongo.kill()
        await asyncio.to_thread(mongo.start)
        await stack.web.ready()
        await assert_all_completed_once(stack, api, ids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stopped_jobs_service_gives_its_jobs_back(
    stack: Stack, number: signal.Signals
) -> None:
    """A run that is too long for the drain is given back, and its attempt is not used up."""
    async with stack.client("ann") as api:
        job_id = await api.submit("system.sleep", {"ms": 60_000})
        await until_the_long_one_runs(api, job_id)
        status = await asyncio.to_thread(stack.jobs.stop, number)
        assert status == 0, stack.jobs.log()
        _, job = await api.json("GET", f"/api/jobs/{job_id}")
        assert (job["state"], job["attemptCount"]) == ("available", 0)
        assert [attempt["outcome"] for attempt in job["attempts"]] == ["released"]

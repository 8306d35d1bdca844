"""With the jobs service down: pages answer, submits are kept, calls fail at once and clearly."""

import asyncio

from tests.faults.conftest import KillableMongo
from tests.support.stack import Stack
from tests.support.waiting import eventually


async def test_without_a_jobs_service(stack: Stack) -> None:
    async with stack.client("ann") as api:
        await asyncio.to_thread(stack.jobs.kill)
        job_id = await api.submit("system.echo", {"value": 7})
        body = b'{"value": 1}'
        async with api.http.post(api.url + "/api/calls/system.echo", data=body) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) >= 1
            problem = await answer.json(content_type="application/problem+json")
            assert problem["code"] == "jobs-unavailable"
        for path in ("/healthz", "/readyz", "/api/me", "/api/jobs", f"/api/jobs/{job_id}"):
            assert (await api.json("GET", path))[0] == 200
        _, job = await api.json("GET", f"/api/jobs/{job_id}")
        assert job["state"] == "available"
        await stack.jobs.start()
        assert (await api.ended(job_id))["result"] == 7
        await stack.connected()
        assert await api.json("POST", "/api/calls/system.echo", {"value": 1}) == (200, 1)


async def test_a_call_in_flight_is_told_when_its_jobs_service_dies(stack: Stack) -> None:
    async with stack.client("ann") as api, asyncio.TaskGroup() as group:
        call = group.create_task(api.json("POST", "/api/calls/system.sleep", {"ms": 60_000}))

        async def busy() -> bool:
            async with api.http.get(stack.jobs.url + "/readyz") as answer:
                return bool((await answer.json())["pool"]["busy"])

        await eventually(busy)
        await asyncio.to_thread(stack.jobs.kill)
        status, problem = await call
        assert (status, problem["code"]) == (503, "connection-lost")


async def test_the_service_says_so_when_the_database_is_away(
    stack: Stack, mongo: KillableMongo
) -> None:

    async with stack.client("ann") as api:
        mongo.kill()
        status, problem = await api.json("GET", "/api/jobs")
        assert (status, problem["code"]) == (503, "database-unavailable")
        assert (await api.json("GET", "/healthz"))[0] == 200
        assert (await api.json("GET", "/readyz"))[0] == 503
        await asyncio.to_thread(mongo.start)
        await stack.web.ready()
        assert (await api.json("GET", "/api/jobs"))[0] == 200

"""Durable jobs over HTTP: each is its owner's, runs once, and tells what happened."""

from datetime import UTC, datetime, timedelta

from tests.support.stack import Api


async def test_a_job_says_all_about_its_run(ann: Api) -> None:
    job_id = await ann.submit("system.echo", {"value": {"a": [1, 2.5, None]}})
    job = await ann.ended(job_id)
    assert (job["state"], job["result"]) == ("completed", {"a": [1, 2.5, None]})
    assert (job["attemptCount"], len(job["attempts"])) == (1, 1)
    assert job["attempts"][0]["outcome"] == "completed"
    assert job["createdAt"] <= job["startedAt"] <= job["endedAt"]
    assert "lease" not in job


async def test_jobs_are_their_owners(ann: Api, bob: Api) -> None:
    job_id = await ann.submit("system.echo", {"value": 1})
    await ann.ended(job_id)
    for method, path in (
        ("GET", f"/api/jobs/{job_id}"),
        ("POST", f"/api/jobs/{job_id}/cancel"),
        ("POST", f"/api/jobs/{job_id}/retry"),
    ):
        status, problem = await bob.json(method, path)
        assert (status, problem["code"]) == (404, "not-found")
    _, body = await bob.json("GET", "/api/jobs")
    assert job_id not in {job["id"] for job in body["jobs"]}


async def test_a_key_makes_a_repeated_submit_the_same_job(ann: Api, bob: Api) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    first = await ann.submit("system.echo", {"value": 1}, key="k", runAt=later)
    assert await ann.submit("system.echo", {"value": 1}, key="k", runAt=later) == first
    other = await bob.submit("system.echo", {"value": 1}, key="k", runAt=later)
    assert other != first
    _, job = await ann.json("POST", f"/api/jobs/{first}/cancel")
    assert job["state"] == "cancelled"
    again = await ann.submit("system.echo", {"value": 1}, key="k")
    assert again != first
    assert (await ann.ended(again))["state"] == "completed"


async def test_a_job_that_crashes_its_child_is_given_up_after_its_attempts(ann: Api) -> None:
    job_id = await ann.submit("system.crash", {"how": "segfault"})
    job = await ann.ended(job_id)
    assert job["state"] == "discarded"
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["failed", "discarded"]
    assert job["error"]["code"] == "crashed"
    status, again = await ann.json("POST", f"/api/jobs/{job_id}/retry")
    assert (status, again["state"], again["attemptCount"]) == (200, "available", 0)
    assert (await ann.ended(job_id))["state"] == "discarded"


async def test_an_unfinished_job_can_not_be_run_again(ann: Api) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    job_id = await ann.submit("system.echo", {}, runAt=later)
    status, problem = await ann.json("POST", f"/api/jobs/{job_id}/retry")
    assert (status, problem["code"]) == (409, "not-ended")
    await ann.json("POST", f"/api/jobs/{job_id}/cancel")


async def test_a_job_runs_when_it_is_due_and_not_before(ann: Api) -> None:
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    job_id = await ann.submit("system.echo", {"value": 1}, runAt=due.isoformat())
    _, waiting = await ann.json("GET", f"/api/jobs/{job_id}")
    assert waiting["state"] == "scheduled"
    job = await ann.ended(job_id)
    assert datetime.fromisoformat(job["startedAt"]) >= due - timedelta(milliseconds=1)


async def test_the_list_of_jobs_comes_in_pages(ann: Api) -> None:
    ids = [await ann.submit("system.echo", {"value": n}) for n in range(5)]
    seen: list[str] = []
    path = "/api/jobs?limit=2"
    while len(seen) < 5:
        _, body = await ann.json("GET", path)
        seen += [job["id"] for job in body["jobs"]]
        path = f"/api/jobs?limit=2&before={body['next']}"
    assert seen[:5] == ids[::-1]
    for bad in ("limit=0", "limit=x", "before=x"):
        assert (await ann.json("GET", f"/api/jobs?{bad}"))[0] == 400

"""Durable jobs over HTTP: submit, look, cancel, run again. Each owner sees only their own."""

from typing import Any

from aiohttp import web
from bson import ObjectId

from shared.models.jobs import Job
from web_service.body import json_body, json_response, query_int
from web_service.job_view import job_view
from web_service.jobs import SubmitRequest
from web_service.keys import AUTH, JOB_STORE, JOBS
from web_service.problems import Problem, not_found


async def submit(request: web.Request) -> web.Response:
    user = await request.app[AUTH].user(request)
    body = await json_body(request, SubmitRequest)
    job = await request.app[JOBS].submit_for(user.id, body)
    return json_response(_with_id(job), status=202)


async def show_all(request: web.Request) -> web.Response:
    """One page, newest first; ``next`` is the ``before`` of the page after it."""
    user = await request.app[AUTH].user(request)
    limit = query_int(request, "limit", 50, 1, 200)
    before = request.query.get("before")
    if before is not None and not ObjectId.is_valid(before):
        raise Problem(400, "bad-request", "before must be the id of a job.")
    jobs = await request.app[JOB_STORE].mine(
        user.id, limit=limit, before=None if before is None else ObjectId(before)
    )
    following = str(jobs[-1].id) if len(jobs) == limit else None
    return json_response({"jobs": [_with_id(job) for job in jobs], "next": following})


async def show(request: web.Request) -> web.Response:
    user = await request.app[AUTH].user(request)
    return _found(await request.app[JOB_STORE].get(_job_id(request), user.id))


async def cancel(request: web.Request) -> web.Response:
    """Ask for a cancel; a job that has ended stays as it is, and is returned."""
    user = await request.app[AUTH].user(request)
    return _found(await request.app[JOB_STORE].request_cancel(_job_id(request), user.id))


async def run_again(request: web.Request) -> web.Response:
    user = await request.app[AUTH].user(request)
    job = await request.app[JOB_STORE].run_again(_job_id(request), user.id)
    if job is not None and job.state != "available":
        raise Problem(409, "not-ended", "Only a job that has ended can be run again.")
    return _found(job)


def _found(job: Job | None) -> web.Response:
    if job is None:
        raise not_found("job")
    return json_response(_with_id(job))


def _with_id(job: Job) -> dict[str, Any]:
    return {"id": str(job.id), **job_view(job)}


def _job_id(request: web.Request) -> ObjectId:
    text = request.match_info["id"]
    if not ObjectId.is_valid(text):
        raise not_found("job")
    return ObjectId(text)


routes = [
    web.post("/api/jobs", submit),
    web.get("/api/jobs", show_all),
    web.get("/api/jobs/{id}", show),
    web.post("/api/jobs/{id}/cancel", cancel),
    web.post("/api/jobs/{id}/retry", run_again),
]

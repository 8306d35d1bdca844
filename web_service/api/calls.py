"""Run a job type and wait: ``POST /api/calls/{type}``. The caller who leaves ends the run."""

from typing import Any

from aiohttp import web

from shared.rpc import trace
from web_service.body import json_body, json_response
from web_service.jobs import UnknownJobType
from web_service.keys import AUTH, JOBS
from web_service.problems import Problem


async def call(request: web.Request) -> web.Response:
    user = await request.app[AUTH].user(request)
    jobs = request.app[JOBS]
    params = await json_body(request, dict[str, Any])
    job_type = request.match_info["type"]
    try:
        wanted = jobs.request(job_type, params)
    except UnknownJobType:
        raise Problem(404, "unknown-type", f"There is no job type {job_type}.") from None
    with trace.bound(request.headers.get("traceparent")):
        return json_response(await jobs.call(wanted, owner=user.id))


routes = [web.post("/api/calls/{type}", call)]

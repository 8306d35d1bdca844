"""Idle browser sessions, each with a live subscription: memory, processor, and one change for all.

The real web service on a real MongoDB, with sessions of one user that all look at the same
job (``jobs.one``). Beside it in the same run: as many WebSockets of a bare aiohttp server
that do nothing, which is what no session on aiohttp can cost less than.
"""

import asyncio
import contextlib
import resource
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop
from bson import ObjectId
from pymongo import AsyncMongoClient

from benchmarks.services import services
from tests.support.stack import PASSWORD, Stack

SESSIONS = 10_000
PROCESSES = 2
WARM_UP = 100
IDLE_SECONDS = 20
CHANGES = 5
MOST_KILOBYTES = 25.0

_LOOKS = 10

Figures = dict[str, Any]


def run(sessions: int = SESSIONS) -> Figures:
    """Kilobytes (1,024) and processor time of each session; seconds to tell all of them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return {
        "sessions": sessions,
        "bare": uvloop.run(_bare(sessions)),
        "tandem": uvloop.run(_tandem(sessions)),
    }


async def _bare(sessions: int) -> Figures:
    command = [sys.executable, "-m", "benchmarks.bare_sessions"]
    server = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        assert server.stdout is not None
        port = int(await server.stdout.readline())
        async with _crowd(port, WARM_UP, ()):
            before = _memory(server.pid)
            async with _crowd(port, sessions, ()):
                return {"kilobytes": (await _settled(server.pid) - before) / sessions}
    finally:
        server.kill()
        await server.wait()


async def _tandem(sessions: int) -> Figures:
    async with services() as stack, AsyncExitStack() as crowds:
        pid = stack.web.pid
        header, job_id = await _shared_job(stack)
        sub = f'{{"msg":"sub","id":"s","name":"jobs.one","params":["{job_id}"]}}'
        more = (f"Authorization: Bearer {header}", sub)
        await crowds.enter_async_context(_crowd(stack.web.port, WARM_UP, more))
        before, began, used = _memory(pid), time.monotonic(), _cpu_seconds(pid)
        crowd = await crowds.enter_async_context(_crowd(stack.web.port, sessions, more))
        opening = {"seconds": time.monotonic() - began, "cpu": _cpu_seconds(pid) - used}
        kilobytes = (await _settled(pid) - before) / sessions
        used = _cpu_seconds(pid)
        await asyncio.sleep(IDLE_SECONDS)
        idle = (_cpu_seconds(pid) - used) / IDLE_SECONDS
        changes = [await _change(stack, pid, crowd, job_id, n) for n in range(CHANGES)]
        return {
            "kilobytes": kilobytes,
            "kilobytesAfterChanges": (_memory(pid) - before) / sessions,
            "idleCpu": idle,
            "opening": opening,
            "change": {
                name: statistics.median(change[name] for change in changes) for name in changes[0]
            },
        }


async def _shared_job(stack: Stack) -> tuple[str, ObjectId]:
    """A token of the user, and the job that all look at: one that waits for tomorrow."""
    async with stack.client("ann") as api:
        login = {"username": "ann", "password": PASSWORD}
        _, session = await api.json("POST", "/api/login", login)
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        job_id = await api.submit("system.echo", {"value": 1}, runAt=tomorrow)
    return session["token"], ObjectId(job_id)


async def _change(
    stack: Stack, pid: int, crowd: Sequence[Process], job_id: ObjectId, done: int
) -> dict[str, float]:
    """Change the job; when the first and the last session are told, in seconds."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(stack.mongo_url)
    async with client:
        jobs = client[stack.database]["jobs"]
        await jobs.find_one({})  # the connection is there
        for process in crowd:
            assert process.stdin is not None
            process.stdin.write(b"\n")
        await asyncio.sleep(1)
        used, began = _cpu_seconds(pid), time.monotonic()
        progress = {"done": float(done), "total": 100.0, "note": ""}
        await jobs.update_one({"_id": job_id}, {"$set": {"progress": progress}})
        times = []
        for process in crowd:
            assert process.stdout is not None
            times += [float(moment) for moment in (await process.stdout.readline()).split()]
        await asyncio.sleep(0.2)
        return {
            "first": min(times) - began,
            "last": max(times) - began,
            "cpu": _cpu_seconds(pid) - used,
        }


@asynccontextmanager
async def _crowd(port: int, count: int, more: Sequence[str]) -> AsyncIterator[list[Process]]:
    """Sessions in processes of their own, from one loopback address each."""
    processes = []
    try:
        for number in range(PROCESSES):
            share = count // PROCESSES + (number < count % PROCESSES)
            source = f"127.0.0.{number + 2}"
            command = ["-m", "benchmarks.crowd", str(port), str(share), source, "/websocket", *more]
            processes.append(
                await asyncio.create_subprocess_exec(
                    sys.executable, *command, stdin=PIPE, stdout=PIPE
                )
            )
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"open\n"
        yield processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _settled(pid: int) -> float:
    """What a process holds once it has stopped growing or shrinking."""
    last = _memory(pid)
    for _ in range(_LOOKS):
        await asyncio.sleep(2)
        before, last = last, _memory(pid)
        if abs(last - before) < 100:
            break
    return last


def _memory(pid: int) -> float:
    """Proportional set size, in kilobytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return float(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1])


def _cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def table(figures: Figures) -> str:
    """The figures as a Markdown table."""
    bare, tandem, count = figures["bare"], figures["tandem"], figures["sessions"]
    change, opening = tandem["change"], tandem["opening"]
    lines = [
        f"| {count:,} idle sessions on one core | | goal |",
        "| --- | ---: | ---: |",
        f"| memory of each, KB | {tandem['kilobytes']:.1f} | ≤ {MOST_KILOBYTES:g} |",
        f"| the same after {CHANGES} changes, KB | {tandem['kilobytesAfterChanges']:.1f} | |",
        f"| a bare WebSocket of aiohttp, KB | {bare['kilobytes']:.1f} | |",
        f"| processor time of each, µs a second | {tandem['idleCpu'] / count * 1e6:.1f} | |",
        f"| of all, in % of a core | {tandem['idleCpu'] * 100:.1f} | |",
        f"| opening and subscribing, ms of processor each | {opening['cpu'] / count * 1e3:.2f} | |",
        f"| a change reaches the first, ms | {change['first'] * 1e3:.0f} | |",
        f"| and the last, ms | {change['last'] * 1e3:.0f} | |",
        f"| processor time of that change, µs each | {change['cpu'] / count * 1e6:.1f} | |",
    ]
    return "\n".join(lines)

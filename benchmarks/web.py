"""What the web service's answers take while every slot of the jobs service burns CPU.

100 GETs of ``/healthz`` a second, at even intervals, over one connection; idle and with
all slots burning, in turn. A late answer counts from when its request was due, so that a
stall is not hidden by the requests that it held up.
"""

import asyncio
import statistics
import time
from typing import Any

import aiohttp
import uvloop

from benchmarks.services import services
from tests.support.stack import Api
from tests.support.waiting import eventually

ROUNDS = 5
SECONDS = 5
PER_SECOND = 100
MOST = 2.0

Figures = dict[str, Any]


def run() -> Figures:
    """Milliseconds, idle and burning."""
    return uvloop.run(_measure())


async def _measure() -> Figures:
    samples: dict[str, list[list[float]]] = {"idle": [], "burning": []}
    async with services() as stack, stack.client("ann") as api:
        await _paced_gets(api, 1)
        for _ in range(ROUNDS):
            samples["idle"].append(await _paced_gets(api, SECONDS))
            burns = [
                asyncio.ensure_future(api.json("POST", "/api/calls/system.burn", {"ms": 3_600_000}))
                for _ in range(2)
            ]
            await eventually(lambda: _busy(api, stack.jobs.url, 2))
            samples["burning"].append(await _paced_gets(api, SECONDS))
            for burn in burns:
                burn.cancel()
            await eventually(lambda: _busy(api, stack.jobs.url, 0))
    return {
        name: {
            "p50": statistics.median(statistics.median(times) for times in rounds),
            "p99": statistics.median(sorted(times)[int(len(times) * 0.99)] for times in rounds),
            "worst": max(max(times) for times in rounds),
        }
        for name, rounds in samples.items()
    }


async def _paced_gets(api: Api, seconds: int) -> list[float]:
    times = []
    due = time.perf_counter()
    async with aiohttp.ClientSession() as http:
        for _ in range(seconds * PER_SECOND):
            due += 1 / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            async with http.get(api.url + "/healthz") as answer:
                await answer.read()
            times.append((time.perf_counter() - due) * 1e3)
    return times


async def _busy(api: Api, jobs_url: str, wanted: int) -> bool:
    async with api.http.get(jobs_url + "/readyz") as answer:
        return bool((await answer.json())["pool"]["busy"] == wanted)


def table(figures: Figures) -> str:
    """The figures as a Markdown table."""
    idle, burning = figures["idle"], figures["burning"]
    lines = [
        "| GET /healthz, ms | idle | all slots burning | ratio | goal |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for key, goal in (("p50", ""), ("p99", f"≤ {MOST:g}"), ("worst", "")):
        lines.append(
            f"| {key} | {idle[key]:.2f} | {burning[key]:.2f} "
            f"| {burning[key] / idle[key]:.2f} | {goal} |"
        )
    return "\n".join(lines)

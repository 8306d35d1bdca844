"""A call from the web service's process, beside the bare parts that it is made of.

``system.echo`` goes through :class:`web_service.jobs.Jobs`, its WebSocket, the jobs
service, a child of the pool and back. Beside it in the same run: an echo over a bare
WebSocket and one over a bare socket pair, whose sum is what no such call can beat.

They are timed in two ways. *In turn*: one of each after the other, so that each finds the
processors as the others left them, as work in a service does. *In a row*: many of the same
one, so that the bare ones, which are small, run from warm caches.
"""

import asyncio
import statistics
import time
from typing import Any

import uvloop

from benchmarks.bare import Echo, pipe_echo, websocket_echo
from benchmarks.services import services
from shared.contracts.system import Echo as EchoRequest
from shared.models.database import open_database
from shared.models.file_store import FileStore
from shared.models.job_store import JobStore
from shared.ops.background import running
from shared.ops.garbage import freeze_what_is_there
from shared.rpc.client import Client
from web_service.jobs import Jobs

ROUNDS = 7
ROUND_TRIPS = 1_500
IN_FLIGHT = 64
CALLS = 20_000
MOST = 3.0
LEAST_PER_SECOND = 5_000

Figures = dict[str, Any]


def run() -> Figures:
    """All figures: microseconds, and calls a second."""
    return uvloop.run(_measure())


async def _measure() -> Figures:
    samples: dict[str, list[dict[str, list[float]]]] = {"inTurn": [], "inARow": []}
    rates = []
    async with (
        services() as stack,
        open_database(stack.mongo_url, stack.database) as database,
        Client(f"ws://127.0.0.1:{stack.jobs.port}/websocket") as client,
        websocket_echo() as websocket,
        pipe_echo() as pipe,
    ):
        jobs = Jobs({}, [client], JobStore(database), FileStore(database))
        async with running(jobs.run()):
            await client.connected()
            call = _call(jobs)
            echoes: dict[str, Echo] = {"call": call, "websocket": websocket, "pipe": pipe}
            await _in_a_row(echoes, 300)
            await _rate(call, 1_000)
            freeze_what_is_there()  # as the web service does
            for _ in range(ROUNDS):
                samples["inTurn"].append(await _in_turn(echoes, ROUND_TRIPS))
                samples["inARow"].append(await _in_a_row(echoes, ROUND_TRIPS))
                rates.append(await _rate(call, CALLS // ROUNDS))
    figures: Figures = {way: _summary(rounds) for way, rounds in samples.items()}
    figures["perSecond"] = statistics.median(rates)
    return figures


def _summary(rounds: list[dict[str, list[float]]]) -> Figures:
    """The median over the rounds of each one's p50 and p99."""
    return {
        name: {
            "p50": statistics.median(statistics.median(times[name]) for times in rounds),
            "p99": statistics.median(
                sorted(times[name])[int(len(times[name]) * 0.99)] for times in rounds
            ),
        }
        for name in rounds[0]
    }


def _call(jobs: Jobs) -> Echo:
    async def call(data: bytes) -> bytes:
        await jobs.call(EchoRequest(value=None))
        return data

    return call


async def _in_turn(echoes: dict[str, Echo], count: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in echoes}
    for _ in range(count):
        for name, echo in echoes.items():
            times[name].append(await _round_trip(echo))
    return times


async def _in_a_row(echoes: dict[str, Echo], count: int) -> dict[str, list[float]]:
    return {name: [await _round_trip(echo) for _ in range(count)] for name, echo in echoes.items()}


async def _round_trip(echo: Echo) -> float:
    """Microseconds of one."""
    started = time.perf_counter()
    await echo(b"x" * 100)
    return (time.perf_counter() - started) * 1e6


async def _rate(echo: Echo, count: int) -> float:
    left = count

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await echo(b"")

    started = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for _ in range(IN_FLIGHT):
            callers.create_task(caller())
    return count / (time.perf_counter() - started)


def table(figures: Figures) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| round trip, µs | call | bare WebSocket | bare socket pair | call / their sum | goal |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way, title in (("inTurn", "in turn"), ("inARow", "in a row")):
        call, websocket, pipe = (figures[way][name] for name in ("call", "websocket", "pipe"))
        for key in ("p50", "p99"):
            ratio = call[key] / (websocket[key] + pipe[key])
            lines.append(
                f"| {title}, {key} | {call[key]:,.0f} | {websocket[key]:,.0f} | {pipe[key]:,.0f} "
                f"| {ratio:.2f} | ≤ {MOST:g} |"
            )
    lines.append(
        f"\nCalls a second with {IN_FLIGHT} in flight: {figures['perSecond']:,.0f} "
        f"(goal ≥ {LEAST_PER_SECOND:,})"
    )
    return "\n".join(lines)

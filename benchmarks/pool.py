"""The process pool beside the standard library's, in one run.

Rounds of the two alternate, so that whatever else the machine does hits both. Read the
ratios; the absolute figures are the machine's.
"""

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import msgspec
import uvloop

from benchmarks.pool_jobs import Echo, Spin, plain_echo
from jobs_service.pool.pool import Pool
from jobs_service.pool.work import PoolConfig, RunFailed, Work
from shared.contracts.contract import Contract

ROUNDS = 5
CALLS = 2_000
SLOTS = 2
IN_FLIGHT = 32
MEBIBYTE = b"\xa5" * (1 << 20)

EchoOnce = Callable[[bytes], Awaitable[bytes]]


def work(request: Contract[Any], time_limit: float = 30.0) -> Work:
    """One run of ``request``."""
    return Work(
        job=request.policy.name,
        params=msgspec.msgpack.encode(request),
        run_id="benchmark",
        files_seed=b"benchmark",
        time_limit=time_limit,
    )


async def round_trips(echo: EchoOnce, count: int, value: bytes = b"") -> list[float]:
    """Microseconds of ``count`` echoes, one after the other."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        await echo(value)
        times.append((time.perf_counter() - started) * 1e6)
    return times


async def throughput(echo: EchoOnce, count: int) -> float:
    """Echoes a second, with ``IN_FLIGHT`` under way at any time."""
    left = count

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await echo(b"")

    started = time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for _ in range(IN_FLIGHT):
            clients.create_task(client())
    return count / (time.perf_counter() - started)


async def kills(config: PoolConfig, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds from a time limit to (the caller is told, the one slot has done a no-op)."""
    told, usable = [], []
    limit = 0.05
    async with Pool(msgspec.structs.replace(config, slots=1)) as pool:
        for _ in range(count):
            started = time.perf_counter()
            try:
                await pool.run(work(Spin(), limit))
            except RunFailed:
                told.append((time.perf_counter() - started - limit) * 1e3)
            await pool.run(work(Echo()))
            usable.append((time.perf_counter() - started - limit) * 1e3)
    return told, usable


async def measure(rounds: int, calls: int) -> dict[str, dict[str, float]]:
    """All figures, by pool and name."""
    # The executor's children have normal priority, so here ours have it too: whatever else
    # the machine does would otherwise hit only one side. On a quiet one it makes no difference.
    config = PoolConfig(slots=SLOTS, packages=("benchmarks.pool_jobs",), nice=0)
    loop = asyncio.get_running_loop()
    samples: dict[str, dict[str, list[float]]] = {"own": {}, "executor": {}}
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(SLOTS, mp_context=context) as executor:
        async with Pool(config) as pool:

            async def own(value: bytes) -> bytes:
                finished = await pool.run(work(Echo(value=value)))
                decoded: bytes = msgspec.msgpack.decode(finished.value, type=bytes)
                return decoded

            async def standard(value: bytes) -> bytes:
                return await loop.run_in_executor(executor, plain_echo, value)

            for name, echo in (("own", own), ("executor", standard)):
                await round_trips(echo, 100)  # warm up
                await throughput(echo, 200)
                samples[name] = {"p50": [], "p99": [], "throughput": [], "mebibyte": []}
            for _ in range(rounds):
                for name, echo in (("own", own), ("executor", standard)):
                    times = sorted(await round_trips(echo, calls))
                    samples[name]["p50"].append(statistics.median(times))
                    samples[name]["p99"].append(times[int(len(times) * 0.99)])
                    samples[name]["throughput"].append(await throughput(echo, calls * 4))
                    large = await round_trips(echo, 60, MEBIBYTE)
                    samples[name]["mebibyte"].append(statistics.median(large))
    told, usable = await kills(config, 15)
    figures = {
        name: {key: statistics.median(values) for key, values in series.items()}
        for name, series in samples.items()
    }
    figures["own"] |= {"told_ms": statistics.median(told), "usable_ms": statistics.median(usable)}
    figures["own"] |= {"told_worst_ms": max(told), "usable_worst_ms": max(usable)}
    return figures


ROWS = (
    ("p50", "no-op round trip, p50", "µs", "≤ 0.33"),
    ("p99", "no-op round trip, p99", "µs", ""),
    ("throughput", f"no-ops with {IN_FLIGHT} in flight", "/s", "≥ 2.5"),
    ("mebibyte", "1 MiB there and back, p50", "µs", "≤ 1.0"),
)


def table(figures: dict[str, dict[str, float]]) -> str:
    """The figures as a Markdown table."""
    own, executor = figures["own"], figures["executor"]
    lines = [
        f"{SLOTS} children each, uvloop, medians over the rounds",
        "",
        "| | pool | ProcessPoolExecutor (forkserver) | ratio | goal |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for key, title, unit, goal in ROWS:
        ratio = own[key] / executor[key]
        lines.append(
            f"| {title} | {own[key]:,.0f} {unit} | {executor[key]:,.0f} {unit} "
            f"| {ratio:.2f} | {goal} |"
        )
    for key, title in (
        ("told", "time limit → caller told"),
        ("usable", "… → slot has done a no-op"),
    ):
        median, worst = own[f"{key}_ms"], own[f"{key}_worst_ms"]
        lines.append(
            f"| {title}, median (worst) | {median:.1f} ms ({worst:.1f}) | never | | ≤ 10 ms |"
        )
    return "\n".join(lines)


def run() -> dict[str, dict[str, float]]:
    """All figures, by pool and name."""
    return uvloop.run(measure(ROUNDS, CALLS))

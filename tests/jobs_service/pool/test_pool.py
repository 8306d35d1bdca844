"""The pool from the outside, with real processes."""

import asyncio
import functools
import os
import random
import signal
from collections.abc import Callable
from typing import Any

import pytest

from jobs_service import memfd
from jobs_service.job import Input, Progress, output_id
from jobs_service.pool import wire
from jobs_service.pool.pool import Pool
from jobs_service.pool.work import Finished, PoolError, RunFailed, Work
from tests.support.pools import (
    SEED,
    StartPool,
    alive,
    descendants,
    failure,
    input_file,
    open_descriptors,
    pool_config,
    value_of,
    work,
    zombies,
)
from tests.support.waiting import eventually


class Runs:
    """Runs under way in the background of one test."""

    def __init__(self, pool: Pool, group: asyncio.TaskGroup) -> None:
        self._pool = pool
        self._group = group
        self.order: list[str] = []
        """Run ids, in the order of their ends."""

    def start(self, wanted: Work) -> "asyncio.Task[Finished | RunFailed]":
        return self._group.create_task(self._run(wanted))

    async def _run(self, wanted: Work) -> Finished | RunFailed:
        try:
            return await self._pool.run(wanted)
        except RunFailed as failed:
            return failed
        finally:
            self.order.append(wanted.run_id)


def pid_of(pool: Pool, run_id: str = "run") -> int:
    """The child that has a run; 0 when none has it."""
    return next((child.pid for child in pool.children() if child.run_id == run_id), 0)


async def running(pool: Pool, wanted: Work, group: asyncio.TaskGroup) -> "asyncio.Task[Any]":
    """Start ``wanted`` (which reports progress first) and wait until its function runs."""
    begun = asyncio.Event()

    async def run() -> Finished | RunFailed:
        try:
            return await pool.run(wanted, lambda _: begun.set())
        except RunFailed as failed:
            return failed

    task = group.create_task(run())
    await begun.wait()
    return task


@pytest.mark.parametrize(
    "value", [None, True, 7, 1.5, "text", b"bytes", [1, [2]], {"a": {"b": None}}]
)
async def test_values_come_back_as_they_went(pool: Pool, value: Any) -> None:
    finished = await pool.run(work("echo", {"value": value}))
    assert value_of(finished) == value
    assert finished.outputs == ()


async def test_many_runs_share_the_children(pool: Pool) -> None:
    pids = {child.pid for child in pool.children()}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pool.run(work("echo", {"value": n}))) for n in range(300)]
    assert [value_of(task.result()) for task in tasks] == list(range(300))
    assert {child.pid for child in pool.children()} == pids
    assert {task.result().usage.pid for task in tasks} <= pids


@pytest.mark.parametrize(
    "size", [0, wire.MAX_INLINE - 100, wire.MAX_INLINE, wire.MAX_INLINE + 1, 250_000, 5_000_000]
)
async def test_payloads_of_any_size_go_both_ways(pool: Pool, size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert value_of(await pool.run(work("echo", {"value": data}))) == data


async def test_files_go_both_ways(pool: Pool) -> None:
    ids = [f"{n:024x}" for n in range(3)]
    inputs = tuple(input_file(file_id, file_id.encode() * 1000) for file_id in ids)
    finished = await pool.run(work("copy", {"sources": ids, "times": 2}, inputs=inputs))
    assert value_of(finished) == [output_id(SEED, n) for n in range(3)]
    for n, output in enumerate(finished.outputs):
        assert output.id == output_id(SEED, n)
        assert memfd.is_sealed(output.fd)
        assert memfd.read(output.fd) == ids[n].encode() * 2000
        assert output.size == 48_000
        assert output.filename == f"copy of {ids[n][:4]}.bin"
        assert output.content_type == "application/octet-stream"
        os.close(output.fd)
    for file in inputs:
        os.close(file.fd)


async def test_runs_that_share_an_input_each_read_all_of_it(pool: Pool) -> None:
    file = input_file("0" * 24, os.urandom(3_000_000))
    wanted = work("copy", {"sources": [file.id]}, inputs=(file,))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pool.run(wanted)) for _ in range(6)]
    for task in tasks:
        (output,) = task.result().outputs
        assert memfd.read(output.fd) == memfd.read(file.fd)
        os.close(output.fd)
    os.close(file.fd)


async def test_hundreds_of_long_names_go_too(pool: Pool) -> None:
    """Their message is larger than a packet may be."""
    files = [input_file(f"{n:024x}", b"x") for n in range(wire.MAX_RUN_FILES)]
    named = tuple(
        Input(
            id=file.id,
            fd=file.fd,
            filename="n" * 240,
            content_type="t" * 240,
            size=file.size,
        )
        for file in files
    )
    ids = [file.id for file in files]
    finished = await pool.run(work("copy", {"sources": ids}, inputs=named))
    assert len(finished.outputs) == wire.MAX_RUN_FILES
    wire.close_all([file.fd for file in files])
    wire.close_all([output.fd for output in finished.outputs])


async def test_too_many_inputs_are_refused(pool: Pool) -> None:
    file = input_file("0" * 24, b"x")
    failed = await failure(pool, work("echo", inputs=(file,) * (wire.MAX_RUN_FILES + 1)))
    assert (failed.kind, failed.code) == ("discarded", "too-many-files")
    os.close(file.fd)


async def test_a_closed_input_fails_only_its_run(pool: Pool) -> None:
    file = input_file("0" * 24, b"x")
    os.close(file.fd)
    failed = await failure(pool, work("echo", inputs=(file,)))
    assert (failed.kind, failed.code) == ("failed", "bad-input")
    assert pool.busy == 0
    assert value_of(await pool.run(work("echo", {"value": 1}))) == 1


async def test_the_line_is_first_come_first_served_urgent_ones_first(
    start_pool: StartPool,
) -> None:
    pool = await start_pool(slots=1)
    async with asyncio.TaskGroup() as group:
        runs = Runs(pool, group)
        blocker = await running(pool, work("sleep", {"seconds": 30}), group)
        for name in ("a", "b"):
            runs.start(work("echo", run_id=f"later {name}", urgent=False))
        for name in ("a", "b"):
            runs.start(work("echo", run_id=f"urgent {name}"))
        await eventually(lambda: pool.waiting == 4)
        assert (pool.busy, pool.free_slots) == (1, 0)
        blocker.cancel()
    assert runs.order == ["urgent a", "urgent b", "later a", "later b"]


async def test_no_more_runs_than_slots(pool: Pool) -> None:
    """The spare is not a third slot."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(pool.run(work("sleep", {"seconds": 30}, run_id=str(n))))
            for n in range(3)
        ]
        await eventually(lambda: pool.waiting == 1)
        assert (pool.busy, len(pool.children())) == (2, 3)
        for task in tasks:
            task.cancel()


async def test_cancelled_in_the_line_it_never_runs(start_pool: StartPool) -> None:
    pool = await start_pool(slots=1)
    async with asyncio.TaskGroup() as group:
        runs = Runs(pool, group)
        blocker = await running(pool, work("sleep", {"seconds": 30}, run_id="blocker"), group)
        pid = pid_of(pool, "blocker")
        waiting = runs.start(work("crash", {"how": "exit"}, run_id="waiting"))
        await eventually(lambda: pool.waiting == 1)
        waiting.cancel()
        await eventually(lambda: pool.waiting == 0)
        assert pid_of(pool, "blocker") == pid
        blocker.cancel()
    assert waiting.cancelled()


@pytest.mark.parametrize("job", ["sleep", "burn"])
async def test_cancelled_while_it_runs_its_child_is_killed(start_pool: StartPool, job: str) -> None:
    pool = await start_pool(slots=1)
    params = {"seconds": 30} if job == "sleep" else {}
    async with asyncio.TaskGroup() as group:
        task = await running(pool, work(job, params), group)
        pid = pid_of(pool)
        task.cancel()
    assert pool.busy == 0
    assert value_of(await pool.run(work("ask")))["pid"] != pid
    await eventually(lambda: not alive(pid))


async def test_a_run_over_its_time_is_killed_and_its_slot_is_usable(
    start_pool: StartPool,
) -> None:
    pool = await start_pool(slots=1)
    failed = await failure(pool, work("burn", time_limit=0.1))
    assert (failed.kind, failed.code) == ("time-limit", "time-limit")
    assert "0.1 seconds" in failed.message
    assert failed.usage is not None
    assert failed.usage.seconds > 0.09  # uvloop's clock counts whole milliseconds
    assert failed.usage.cpu_seconds > 0
    assert failed.usage.peak_bytes > 1_000_000
    assert pool.busy == 0
    finished = await pool.run(work("ask"))
    assert finished.usage.pid != failed.usage.pid
    killed = failed.usage.pid
    await eventually(lambda: not alive(killed))


async def test_a_short_limit_after_a_long_one_still_holds(start_pool: StartPool) -> None:
    pool = await start_pool(slots=1, spares=0)
    await pool.run(work("echo", time_limit=3_600))
    failed = await failure(pool, work("burn", time_limit=0.05))
    assert failed.kind == "time-limit"


async def test_a_limit_of_a_finished_run_never_hits_the_next(start_pool: StartPool) -> None:
    pool = await start_pool(slots=1, spares=0)
    await pool.run(work("echo", time_limit=0.05))
    finished = await pool.run(work("sleep", {"seconds": 0.15}))
    assert finished.usage.seconds >= 0.15


async def test_time_in_the_line_does_not_count(start_pool: StartPool) -> None:
    pool = await start_pool(slots=1)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(pool.run(work("sleep", {"seconds": 0.2})))
        second = group.create_task(pool.run(work("echo", {"value": 1}, time_limit=0.15)))
    assert first.result().usage.seconds >= 0.2
    assert value_of(second.result()) == 1


async def test_progress_arrives_in_order_and_bounded(pool: Pool) -> None:
    heard: list[Progress] = []
    finished = await pool.run(work("count", {"steps": 50_000}), heard.append)
    assert value_of(finished) == 50_000
    assert heard[0] == Progress(0, 50_000, "step 0")
    assert heard[-1] == Progress(50_000, 50_000, "step 50000")
    assert [p.done for p in heard] == sorted(p.done for p in heard)
    assert len(heard) < 1_000


async def test_a_raising_progress_callback_is_not_the_runs_fault(pool: Pool) -> None:
    def callback(_: Progress) -> None:
        raise ValueError

    assert value_of(await pool.run(work("count", {"steps": 3}), callback)) == 3


async def test_usage_is_the_runs_own(start_pool: StartPool) -> None:
    pool = await start_pool(slots=1, spares=0)
    large = (await pool.run(work("allocate", {"megabytes": 100}))).usage
    small = (await pool.run(work("echo"))).usage
    assert large.pid == small.pid
    assert large.peak_bytes > 100 << 20 > small.peak_bytes > 1 << 20
    assert large.cpu_seconds > 0
    slept = (await pool.run(work("sleep", {"seconds": 0.1}))).usage
    assert slept.seconds >= 0.1 > slept.cpu_seconds


async def test_the_run_knows_what_it_was_told(pool: Pool) -> None:
    wanted = work("ask", run_id="the id", attempt=3, database_url="mongodb://somewhere/db")
    assert value_of(await pool.run(wanted))["run"] == ["the id", 3, "mongodb://somewhere/db"]


async def test_kill_9_of_busy_children_fails_exactly_their_runs(start_pool: StartPool) -> None:
    """Eight clients, forty kills at random: as many failures, everything else right."""
    pool = await start_pool(slots=2, spares=2)
    chance = random.Random(7)
    killed: set[str] = set()
    crashed: set[str] = set()
    completed = 0
    stop = asyncio.Event()

    async def client(name: int) -> None:
        nonlocal completed
        n = 0
        while not stop.is_set():
            n += 1
            run_id = f"{name}/{n}"
            params = {"seconds": chance.uniform(0.001, 0.01)}
            try:
                await pool.run(work("sleep", params, run_id=run_id))
            except RunFailed as failed:
                assert (failed.kind, failed.code) == ("crashed", "crashed")
                assert failed.message == "Its process was killed by SIGKILL."
                crashed.add(run_id)
            else:
                assert run_id not in killed
                completed += 1

    async with asyncio.TaskGroup() as group:
        for name in range(8):
            group.create_task(client(name))
        for _ in range(40):
            # Nothing is awaited between the look and the kill, and the child is stopped
            # before the second look: so it is known which run dies.
            busy = await eventually(lambda: [c for c in pool.children() if c.run_id])
            victim = chance.choice(busy)
            os.kill(victim.pid, signal.SIGSTOP)
            await asyncio.sleep(0)
            await eventually(functools.partial(_stopped, victim.pid))
            await _settle()
            now = next((c.run_id for c in pool.children() if c.pid == victim.pid), None)
            os.kill(victim.pid, signal.SIGKILL)
            if now:
                killed.add(now)
                await eventually(functools.partial(crashed.__contains__, now))
        stop.set()
    assert crashed == killed
    assert len(killed) > 20
    assert completed > 20
    await eventually(lambda: len(pool.children()) == 4)
    assert (pool.busy, pool.waiting) == (0, 0)


def _stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] in "TZ"


async def _settle() -> None:
    """Let the loop read what has been sent before now."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_descriptor_or_zombie_grows(start_pool: StartPool) -> None:
    pool = await start_pool(slots=2, spares=1)
    file = input_file("0" * 24, os.urandom(200_000))
    large = {"value": os.urandom(150_000)}
    copies = work("copy", {"sources": [file.id]}, inputs=(file,))

    async def round_of_runs(count: int, kills: int) -> None:
        async with asyncio.TaskGroup() as group:
            runs = Runs(pool, group)
            tasks = [runs.start(copies if n % 2 else work("echo", large)) for n in range(count)]
            tasks += [runs.start(work("crash", {"how": "kill"})) for _ in range(kills)]
        for task in tasks:
            if isinstance(finished := task.result(), Finished):
                wire.close_all([output.fd for output in finished.outputs])
        await eventually(lambda: len(pool.children()) == 3)

    def fds_of_zygote() -> int:
        return len(os.listdir(f"/proc/{pool.zygote_pid}/fd"))

    await round_of_runs(20, 3)
    before, zygote_before = open_descriptors(), fds_of_zygote()
    child_before = value_of(await pool.run(work("ask")))["fds"]
    await round_of_runs(300, 60)
    await eventually(lambda: open_descriptors() <= before)
    await eventually(lambda: fds_of_zygote() == zygote_before)
    await eventually(lambda: zombies(pool.zygote_pid) == [])
    assert len(descendants(pool.zygote_pid)) == 3
    assert value_of(await pool.run(work("ask")))["fds"] == child_before
    os.close(file.fd)


async def test_closing_while_busy_fails_the_runs_and_leaves_no_process() -> None:
    before = open_descriptors()
    async with asyncio.TaskGroup() as group:
        async with Pool(pool_config()) as pool:
            runs = [await running(pool, work("burn", run_id=str(n)), group) for n in range(2)] + [
                group.create_task(_failing(pool, work("echo")))
            ]
            await eventually(lambda: pool.waiting == 1)
            pids = [pool.zygote_pid, *descendants(pool.zygote_pid)]
            assert len(pids) == 4
        assert [pid for pid in pids if alive(pid)] == []
    assert {(run.result().kind, run.result().code) for run in runs} == {("crashed", "pool-closed")}
    await eventually(lambda: open_descriptors() <= before)


async def _failing(pool: Pool, wanted: Work) -> RunFailed:
    return await failure(pool, wanted)


async def test_a_closed_pool_says_so() -> None:
    async with Pool(pool_config()) as pool:
        await pool.check()
    await pool.close()
    failed = await failure(pool, work("echo"))
    assert (failed.kind, failed.code) == ("crashed", "pool-closed")
    with pytest.raises(PoolError, match="closed"):
        await pool.check()
    assert (pool.children(), pool.zygote_pid) == ([], 0)


async def test_cancelled_in_the_tick_of_its_answer_nothing_leaks(pool: Pool) -> None:
    """The answer, with a descriptor, is there, and the task is cancelled before it wakes."""
    file = input_file("0" * 24, b"x")
    wanted = work("copy", {"sources": [file.id]}, inputs=(file,))
    answered: Callable[[Any, Any, Any], None] = pool.child_said
    before = open_descriptors()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(pool.run(wanted))

        def answered_and_cancelled(child: Any, message: Any, fds: Any) -> None:
            answered(child, message, fds)
            task.cancel()

        pool.child_said = answered_and_cancelled  # type: ignore[method-assign]
    assert task.cancelled()
    assert open_descriptors() == before
    os.close(file.fd)

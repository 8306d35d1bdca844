"""The number of children: kept, whatever dies."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from jobs_service.pool.pool import Pool
from jobs_service.pool.work import PoolError, RunFailed
from tests.support.pools import StartPool, alive, failure, pool_config, value_of, work
from tests.support.waiting import eventually


async def test_a_killed_idle_child_is_replaced(pool: Pool) -> None:
    before = {child.pid for child in pool.children()}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: len({child.pid for child in pool.children()} - before) == 3)
    assert value_of(await pool.run(work("echo", {"value": 1}))) == 1


async def test_a_run_given_to_a_child_that_just_died_gets_another(pool: Pool) -> None:
    """The loop has not heard of the deaths when it hands the run out."""
    pids = [child.pid for child in pool.children()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    while any(map(alive, pids)):
        pass
    assert value_of(await pool.run(work("echo", {"value": 1}))) == 1


async def test_a_spare_takes_over_at_once(start_pool: StartPool) -> None:
    """While the zygote is stopped no child can be forked, yet the slot is back."""
    pool = await start_pool(slots=1, spares=1, exit_seconds=0.05)
    os.kill(pool.zygote_pid, signal.SIGSTOP)
    failed = await failure(pool, work("crash", {"how": "kill"}))
    assert failed.message == "Its process ended."  # nobody could say how
    assert value_of(await pool.run(work("echo", {"value": 1}))) == 1
    os.kill(pool.zygote_pid, signal.SIGCONT)
    await eventually(lambda: len(pool.children()) == 2)


async def test_the_zygote_killed_fails_the_running_and_is_replaced(
    start_pool: StartPool,
) -> None:
    pool = await start_pool(slots=1, spares=2)
    zygote, pids = pool.zygote_pid, [child.pid for child in pool.children()]
    begun = asyncio.Event()

    async def fail() -> RunFailed:
        with pytest.raises(RunFailed) as caught:
            await pool.run(work("burn"), lambda _: begun.set())
        return caught.value

    async with asyncio.TaskGroup() as group:
        running = group.create_task(fail())
        await begun.wait()
        waiting = [group.create_task(pool.run(work("echo", {"value": n}))) for n in range(9)]
        await eventually(lambda: pool.waiting == 9)
        os.kill(zygote, signal.SIGKILL)
    assert (running.result().kind, running.result().code) == ("crashed", "crashed")
    assert running.result().message == "Its process was killed, for the pool's zygote died."
    answered = [task.result() for task in waiting]
    assert [value_of(finished) for finished in answered] == list(range(9))
    await eventually(lambda: len(pool.children()) == 3)
    assert pool.zygote_pid != zygote
    assert [pid for pid in (zygote, *pids) if alive(pid)] == []


async def test_the_zygote_killed_again_and_again_loses_no_waiting_run(
    start_pool: StartPool,
) -> None:
    pool = await start_pool(slots=1, spares=0)
    for n in range(4):
        os.kill(pool.zygote_pid, signal.SIGKILL)
        await eventually(lambda: pool.children() == [])
        assert value_of(await pool.run(work("echo", {"value": n}))) == n


async def test_a_package_that_cannot_be_imported_is_an_error_at_start() -> None:
    with pytest.raises(PoolError, match="No module named 'no_such_package'"):
        async with Pool(pool_config(packages=("no_such_package",))):
            pass


async def test_a_preload_that_starts_a_thread_is_refused() -> None:
    with pytest.raises(PoolError, match=r"started threads: \['python3?.*'a thread'\]"):
        async with Pool(pool_config(preload=("tests.support.starts_a_thread",))):
            pass


async def test_children_that_die_at_once_are_an_error_at_start() -> None:
    with pytest.raises(PoolError, match="a new child exited with status 9"):
        async with Pool(pool_config(preload=("tests.support.dies_when_forked",))):
            pass


async def test_when_no_child_can_be_started_waiting_runs_are_told(tmp_path: Path) -> None:
    """A code change breaks the import while the service runs, and its zygote dies."""
    module = tmp_path / "breakable.py"
    module.write_text("")
    config = pool_config(slots=1, spares=0, preload=("breakable",))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        async with Pool(config) as pool:
            module.write_text("raise ValueError('broken code')")
            os.kill(pool.zygote_pid, signal.SIGKILL)
            await eventually(lambda: pool.children() == [])
            failed = await failure(pool, work("echo"))
            assert (failed.kind, failed.code) == ("crashed", "no-children")
            assert "broken code" in failed.message
            module.write_text("")
            await eventually(pool.children)
            assert value_of(await pool.run(work("echo", {"value": 1}))) == 1

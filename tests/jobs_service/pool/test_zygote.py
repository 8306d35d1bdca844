"""The zygote's own duties: it dies with its service, and takes the children along."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from jobs_service.pool.pool import Pool
from tests.support.pools import alive, descendants, value_of, work
from tests.support.waiting import eventually

_SERVICE = """
import asyncio
from jobs_service.pool.pool import Pool
from tests.support.pools import pool_config, work

async def main():
    async with Pool(pool_config()) as pool:
        begun = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for job in ("burn", "sleep"):
                params = {"seconds": 60} if job == "sleep" else {}
                group.create_task(pool.run(work(job, params), lambda _: print("run", flush=True)))

asyncio.run(main())
"""


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
async def test_everything_dies_with_the_service(signal_number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SERVICE),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    for _ in range(2):
        assert await process.stdout.readline() == b"run\n"
    pids = descendants(process.pid)
    assert len(pids) >= 3
    process.send_signal(signal_number)
    await process.wait()
    await eventually(lambda: not any(map(alive, pids)))


async def test_a_zygote_ends_when_its_service_closes_the_socket(pool: Pool) -> None:
    pids = [pool.zygote_pid, *descendants(pool.zygote_pid)]
    await pool.close()
    assert [pid for pid in pids if alive(pid)] == []


async def test_int_and_term_end_neither_zygote_nor_children(pool: Pool) -> None:
    pids = [pool.zygote_pid, *descendants(pool.zygote_pid)]
    for number in (signal.SIGINT, signal.SIGTERM):
        for pid in pids:
            os.kill(pid, number)
    for n in range(4):
        assert value_of(await pool.run(work("echo", {"value": n}))) == n
    assert [pid for pid in pids if not alive(pid)] == []


async def test_the_zygote_has_one_thread_and_few_descriptors(pool: Pool) -> None:
    zygote = Path(f"/proc/{pool.zygote_pid}")
    assert len(list((zygote / "task").iterdir())) == 1
    targets = []
    for fd in (zygote / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(fd))
    sockets = [target for target in targets if target.startswith("socket:")]
    pidfds = [target for target in targets if "pidfd" in target]
    assert (len(sockets), len(pidfds)) == (1, 3)
    assert len(targets) <= 8

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs_service.jobs.system import burn, echo, sleep
from shared.contracts.system import Burn, Echo, Sleep
from tests.jobs_service.jobs.runs import running
from tests.support.waiting import eventually

CRASH = """
import resource, sys
from jobs_service.jobs.system import crash
from shared.contracts.system import Crash

how, limit = sys.argv[1], int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
crash.function(Crash(how=how), None)
print("still here")
"""


def crashing(how: str, memory_limit: int = 0) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", CRASH, how, str(memory_limit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_echo() -> None:
    with running() as (run, _progress):
        assert echo.function(Echo(value={"a": [1, None]}), run) == {"a": [1, None]}


@pytest.mark.parametrize(("job", "params"), [(burn, Burn(ms=120)), (sleep, Sleep(ms=120))])
def test_burn_and_sleep_say_how_far_they_are(job: object, params: object) -> None:
    with running() as (run, progress):
        job.function(params, run)  # type: ignore[attr-defined]
    done = [step.done for step in progress]
    assert done == sorted(done)
    assert len(done) >= 2
    assert {step.total for step in progress} == {120}
    assert done[-1] == 120


@pytest.mark.parametrize("job", [burn.function, sleep.function])
def test_no_time_at_all(job: object) -> None:
    with running() as (run, progress):
        job((Burn if job is burn.function else Sleep)(ms=0), run)  # type: ignore[operator]
    assert [(step.done, step.total) for step in progress] == [(0, 0)]


@pytest.mark.parametrize(
    ("how", "memory_limit", "status"),
    [
        ("exit", 0, 1),
        ("segfault", 0, -signal.SIGSEGV),
        ("oom", 300_000_000, -signal.SIGKILL),
    ],
)
def test_each_way_to_die(how: str, memory_limit: int, status: int) -> None:
    with crashing(how, memory_limit) as process:
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (status, b"", b"")


def test_running_out_of_memory_really_uses_it() -> None:
    process = crashing("oom")
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.communicate() == (b"", b"")
    assert process.returncode == -signal.SIGKILL
    assert 900_000 < usage.ru_maxrss < 1_300_000  # KiB


async def test_only_sigkill_ends_a_hang() -> None:
    with crashing("hang") as process:
        try:
            await eventually(lambda: _mask(process.pid, "SigBlk") & _bit(signal.SIGTERM))
            process.terminate()
            await eventually(lambda: _mask(process.pid, "ShdPnd") & _bit(signal.SIGTERM))
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL


def _mask(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1], 16)
    return 0


def _bit(number: int) -> int:
    return 1 << (number - 1)

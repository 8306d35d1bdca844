"""Jobs that do what they should."""

import os
import resource
import signal
import sys
import threading
import time
from typing import Any

from jobs_service.job import Run, job
from shared.contracts.contract import Contract
from shared.contracts.files import FileId


class Echo(Contract[Any], name="test.echo"):
    value: Any = None


@job(Echo)
def echo(params: Echo, run: Run) -> Any:
    return params.value


class Sleep(Contract[None], name="test.sleep"):
    seconds: float


@job(Sleep)
def sleep(params: Sleep, run: Run) -> None:
    run.progress(0)
    time.sleep(params.seconds)


class Burn(Contract[None], name="test.burn"):
    """For ever, holding the GIL nearly all the time."""


@job(Burn)
def burn(params: Burn, run: Run) -> None:
    run.progress(0)
    while True:
        pass


class Ask(Contract[Any], name="test.ask"):
    """What a child knows about itself."""


@job(Ask)
def ask(params: Ask, run: Run) -> Any:
    return {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "session": os.getsid(0),
        "group": os.getpgid(0),
        "nice": os.nice(0),
        "autogroup": _text("/proc/self/autogroup"),
        "oom": _text("/proc/self/oom_score_adj"),
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "ignored": [
            signal.getsignal(number) == signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM)
        ],
        "stdin": os.readlink("/proc/self/fd/0"),
        "threads": threading.active_count(),
        "modules": [name for name in ("asyncio", "aiohttp", "uvloop") if name in sys.modules],
        "environment": dict(os.environ),
        "fds": len(os.listdir("/proc/self/fd")),
        "run": [run.id, run.attempt, run.database_url],
    }


def _text(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


class Copy(Contract[Any], name="test.copy"):
    """Each input to an output of its own, ``times`` times over."""

    sources: list[FileId]
    times: int = 1


@job(Copy)
def copy(params: Copy, run: Run) -> Any:
    ids = []
    for source in params.sources:
        file = run.input(source)
        output = run.output(f"copy of {file.filename}", file.content_type)
        for _ in range(params.times):
            os.lseek(file.fd, 0, os.SEEK_SET)
            while part := os.read(file.fd, 1 << 16):
                output.write(part)
        ids.append(output.id)
    return ids


class Count(Contract[int], name="test.count"):
    """Reports progress ``steps`` times, as fast as it is allowed to."""

    steps: int


@job(Count)
def count(params: Count, run: Run) -> int:
    for done in range(params.steps + 1):
        run.progress(done, params.steps, f"step {done}")
    return params.steps


class Allocate(Contract[int], name="test.allocate"):
    megabytes: int


@job(Allocate)
def allocate(params: Allocate, run: Run) -> int:
    return len(b"x" * (params.megabytes << 20))


class OnLoop(Contract[None], name="test.on-loop"):
    """Not for a child."""


@job(OnLoop)
async def on_loop(params: OnLoop, run: Run) -> None: ...

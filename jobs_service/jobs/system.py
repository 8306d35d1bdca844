"""Functions that tests and benchmarks need: they answer, burn, wait and crash."""

import ctypes
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any, Final

from jobs_service.job import Run, job
from shared.contracts.system import Burn, Crash, Echo, Sleep

_BURN_STEP: Final = 20_000
_SLEEP_STEP_SECONDS: Final = 0.05
_OOM_BYTES: Final = 1 << 30
_OOM_STEP_BYTES: Final = 32 << 20


@job(Echo)
def echo(params: Echo, run: Run) -> Any:  # noqa: ARG001 — every job function takes a run
    """The value that was given."""
    return params.value


@job(Burn)
def burn(params: Burn, run: Run) -> None:
    """Keep a core busy, in Python, for ``params.ms`` of wall clock."""
    started = time.monotonic()
    while (elapsed := (time.monotonic() - started) * 1000) < params.ms:
        run.progress(elapsed, params.ms)
        for _ in range(_BURN_STEP):
            pass
    run.progress(params.ms, params.ms)


@job(Sleep)
def sleep(params: Sleep, run: Run) -> None:
    """Wait for ``params.ms`` of wall clock."""
    started = time.monotonic()
    while (elapsed := (time.monotonic() - started) * 1000) < params.ms:
        run.progress(elapsed, params.ms)
        time.sleep(min(_SLEEP_STEP_SECONDS, (params.ms - elapsed) / 1000))
    run.progress(params.ms, params.ms)


@job(Crash)
def crash(params: Crash, run: Run) -> None:  # noqa: ARG001
    """End this process, or (``hang``) make it deaf to all but SIGKILL; never returns."""
    # A crash on purpose is no reason to fill the disk with core dumps.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    match params.how:
        case "exit":
            os._exit(1)
        case "segfault":
            ctypes.string_at(0)
        case "oom":
            _eat_memory()
        case "hang":
            _hang()


def _eat_memory() -> None:
    """Use more and more memory until the kernel ends this process.

    No machine shall suffer: this process makes itself the kernel's first choice, and where
    nothing stops it at 1 GiB it ends itself in the way that the kernel would have.
    """
    Path("/proc/self/oom_score_adj").write_text("1000")
    eaten = []
    try:
        for _ in range(_OOM_BYTES // _OOM_STEP_BYTES):
            # Not zeros: pages that were never written to take no memory.
            eaten += [b"\xff" * _OOM_STEP_BYTES]
    except MemoryError:
        eaten.clear()
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    """Hold the GIL in C for ever, with all signals blocked: only SIGKILL ends this."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).pause()  # unlike CDLL, PyDLL keeps the GIL during the call

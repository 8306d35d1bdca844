"""What only Linux offers to keep one process from hurting another."""

import contextlib
import ctypes
import os
import resource
import signal
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CPUCLOCK_SCHED = 2  # with it, a clock id names a process: clock_getcpuclockid(3)


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, however it ends.

    The kernel means the parent's *thread*: fork only from a main thread (measured: a child
    forked in a thread that returned was killed while the process lived).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:  # it ended before the kernel knew
        os._exit(1)


def lower_session(nice: int) -> bool:
    """Let all other Unix sessions go before this process's when a core is contended.

    With ``sched_autogroup_enabled`` a session is a scheduling group, and plain ``nice`` only
    counts inside it. Measured: with 15 here, a web service's p99 under full CPU load is its
    idle p99; with ``nice`` alone it is four to nine times that.

    Returns False when it should be tried again: from processes without privileges Linux takes
    one such write per 100 ms, all of them together. True also where nothing can be done.
    """
    try:
        Path("/proc/self/autogroup").write_bytes(b"%d" % nice)
    except BlockingIOError:
        return False
    except OSError:  # no autogroups in this kernel, or a read-only /proc: nice must do
        return True
    return True


def be_killed_first() -> None:
    """When memory runs out, let the kernel choose this process, not the service."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(b"1000")


def no_core_dumps() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def close_other_descriptors(keep: set[int]) -> None:
    """Close every descriptor of this process but ``keep``."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names, not paths
        fd = int(name)
        if fd not in keep:
            with contextlib.suppress(OSError):  # the one that listdir itself had open
                os.close(fd)


def thread_names() -> list[str]:
    """The names of this process's threads, also of those that are not Python's."""
    return [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]


def usage_of(pid: int) -> tuple[float, int]:
    """CPU seconds and the largest resident set (bytes) of a living process, else zeros."""
    try:
        cpu_seconds = time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return 0.0, 0
    peak = status.partition(b"VmHWM:")[2].split()[:1]
    return cpu_seconds, int(peak[0]) * 1024 if peak else 0

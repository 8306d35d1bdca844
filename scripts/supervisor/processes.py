"""Child processes that cannot outlive whoever started them."""

import ctypes
import os
import signal
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def dying_with_parent(death_signal: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """A ``preexec_fn`` that makes the child receive ``death_signal`` when its parent dies.

    The kernel watches the *thread* that started the child, so start it from the main one.
    It also puts the child into a process group of its own: a Ctrl-C in the terminal then
    reaches the parent alone, which stops its children in the right order.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def prepare() -> None:
        os.setpgid(0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # it died before the kernel knew of our wish
            os._exit(1)

    return prepare


def start_time(pid: int) -> int | None:
    """When ``pid`` started, in clock ticks after boot; None when there is no such process.

    Pid and start time together name a process for good, since pids are used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # proc(5): the name in parentheses may hold spaces; state is field 3, starttime field 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def command_line(pid: int) -> str:
    """The command line of ``pid``, or "" when it can't be read."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()

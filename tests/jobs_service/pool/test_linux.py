"""Linux's own means, each in a process of its own, where they can do no harm."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs_service.pool import linux
from tests.support.pools import alive
from tests.support.waiting import eventually_sync


def in_a_process(code: str, session: bool = False) -> str:
    """What ``code`` prints; ``linux`` is imported."""
    script = f"import os\nfrom jobs_service.pool import linux\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        start_new_session=session,
    )
    return done.stdout.strip()


def test_a_process_dies_with_its_parent() -> None:
    """The parent (the script) forks a child that would wait for ever, and ends."""
    pid = int(
        in_a_process(
            "import signal\n"
            "parent, (r, w) = os.getpid(), os.pipe()\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    os.closerange(0, 3)\n"
            "    linux.die_with_parent(parent)\n"
            "    os.write(w, b'.')\n"
            "    signal.pause()\n"
            "os.read(r, 1)\n"
            "print(pid, flush=True)\n"
            "os._exit(0)"
        )
    )
    eventually_sync(lambda: not alive(pid))


def test_a_process_whose_parent_is_gone_already_ends() -> None:
    code = "import sys\nlinux.die_with_parent(1 if os.getppid() != 1 else 2)\nprint('alive')"
    done = subprocess.run(
        [sys.executable, "-c", f"import os\nfrom jobs_service.pool import linux\n{code}"],
        check=False,
        capture_output=True,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stdout) == (1, b"")


def test_priorities_and_limits() -> None:
    printed = in_a_process(
        "import resource, time\n"
        "while not linux.lower_session(12):\n"
        "    time.sleep(0.01)\n"
        "linux.be_killed_first(); linux.no_core_dumps()\n"
        "print(open('/proc/self/oom_score_adj').read().strip(),\n"
        "      resource.getrlimit(resource.RLIMIT_CORE),\n"
        "      open('/proc/self/autogroup').read().split()[-1]\n"
        "      if os.path.exists('/proc/self/autogroup') else 12)",
        session=True,
    )
    assert printed == "1000 (0, 0) 12"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop privileges")
@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="kernel without autogroups")
def test_without_privileges_one_of_two_is_told_to_try_again() -> None:
    printed = in_a_process(
        "import ctypes\n"
        "os.setuid(65534); ctypes.CDLL(None).prctl(4, 1)  # dumpable: /proc/self is ours\n"
        "print({linux.lower_session(12) for _ in range(2)} >= {False})",
        session=True,
    )
    assert printed == "True"


def test_all_other_descriptors_are_closed() -> None:
    printed = in_a_process(
        "kept = os.open('/dev/null', 0); os.dup(kept); os.dup(kept)\n"
        "linux.close_other_descriptors({1, kept})\n"
        "alive = [fd for fd in range(64) if os.path.exists(f'/proc/self/fd/{fd}')]\n"
        "print(alive == [1, kept])"
    )
    assert printed == "True"


def test_the_usage_of_a_process() -> None:
    cpu_seconds, peak_bytes = linux.usage_of(os.getpid())
    assert cpu_seconds > 0
    assert peak_bytes > 1_000_000
    assert linux.usage_of(2**22 + 1) == (0.0, 0)


def test_threads_have_names() -> None:
    assert any(name.startswith(("py", "MainThread")) for name in linux.thread_names())

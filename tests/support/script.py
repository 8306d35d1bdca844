"""A script of the project as a process of its own, with all that it prints."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.supervisor.processes import start_time
from tests.support.paths import ROOT
from tests.support.waiting import eventually_sync


class Script:
    """A running script; leaving its ``with`` kills it if it still runs."""

    def __init__(
        self, command: Sequence[str | Path], environ: Mapping[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=clean_environment(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return "\n".join(self.lines)

    def until(self, pattern: str, count: int = 1, timeout: float = 30) -> re.Match[str]:
        """Wait until ``pattern`` was printed ``count`` times; returns the last match."""

        def found() -> re.Match[str] | None:
            matches = list(re.finditer(pattern, self.output))
            return matches[count - 1] if len(matches) >= count else None

        def printed() -> re.Match[str] | None:
            match = found()
            if match is None and self.process.poll() is not None and not self._reader.is_alive():
                match = found()
                assert match, f"ended with {self.process.returncode} before {pattern!r}"
            return match

        try:
            match = eventually_sync(printed, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- printed:\n{self.output}") from None
        assert match is not None
        return match

    def pids(self) -> set[int]:
        """Every process that it said it started."""
        return {int(pid) for pid in re.findall(r"pid (\d+)", self.output)}

    def wait(self, timeout: float = 15) -> int:
        """Its exit status, and then everything is printed."""
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.process.terminate()
            self.process.wait(15)
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


def supervisor(data: Path, *arguments: str, **environ: str) -> Script:
    """The supervisor with stand-ins, on ``data``."""
    command = [sys.executable, "-m", "tests.support.run_stand_ins", "--data", str(data)]
    return Script([*command, *arguments], environ)


def clean_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without what would steer the project's own programs."""
    ours = ("TANDEM_", "MONGO")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**environ, **(changes or {})}


def running(pids: set[int]) -> set[int]:
    """Those of ``pids`` that still run."""
    return {pid for pid in pids if start_time(pid) is not None}


def kill(pid: int) -> None:
    """SIGKILL one process."""
    os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> set[int]:
    """The children of ``pid``, their children, and so on."""
    children = set()
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            children |= {int(child) for child in listed.read_text().split()}
    return children | {found for child in children for found in descendants(child)}

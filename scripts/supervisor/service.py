"""One program that is kept running: started, watched, restarted when it dies, stopped."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from scripts.supervisor.output import Lines, Output
from scripts.supervisor.processes import dying_with_parent

FIRST_DELAY_SECONDS = 2.0
LONGEST_DELAY_SECONDS = 30.0
SHORT_LIFE_SECONDS = 10.0

_LAST_WORDS_SECONDS = 0.5


class Backoff:
    """How long to wait before the next start: 2 s, doubling to 30 s while lives are short."""

    def __init__(self) -> None:
        self._delay = 0.0

    def after(self, lifetime_seconds: float) -> float:
        """The seconds to wait after a life of ``lifetime_seconds``."""
        if self._delay and lifetime_seconds < SHORT_LIFE_SECONDS:
            self._delay = min(2 * self._delay, LONGEST_DELAY_SECONDS)
        else:
            self._delay = FIRST_DELAY_SECONDS
        return self._delay


class Service:
    """A program whose output appears line by line behind its name."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environ: Callable[[], Mapping[str, str]],
        directory: Path,
        output: Output,
    ) -> None:
        self.name = name
        self.ended = asyncio.Event()
        """Set while no process runs, after the first start."""
        self._command = command
        self._environ = environ
        self._directory = directory
        self._output = output
        self.was_ready = False
        """Until its owner has set this, an end is final: it would only fail again."""
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self.last_exit = ""
        """How the last process ended, in words."""

    @property
    def pid(self) -> int | None:
        """The running process, if any."""
        return self._process.pid if self._process is not None else None

    async def run_once(self) -> int:
        """Start it, show its output, wait until it ends; returns its exit status."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self._directory,
            env=self._environ(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=dying_with_parent(),
        )
        self._process = process
        self.ended.clear()
        if self._stopping.is_set():  # stop() came while it was being started
            process.terminate()
        try:
            async with asyncio.TaskGroup() as tasks:
                printer = tasks.create_task(self._print_output(process))
                status = await process.wait()
                # A grandchild may hold the pipe open for longer than we want to wait.
                await asyncio.wait([printer], timeout=_LAST_WORDS_SECONDS)
                printer.cancel()
        finally:
            self._process = None
            self.ended.set()
            if process.returncode is None:
                process.kill()
        self.last_exit = describe_exit(status)
        return status

    async def keep_running(self) -> None:
        """Start it again, after a pause, whenever it ends without being told to."""
        backoff = Backoff()
        while True:
            began = time.monotonic()
            await self.run_once()
            if self._stopping.is_set() or not self.was_ready:
                return
            delay = backoff.after(time.monotonic() - began)
            self._output.line(
                "tandem", f"{self.name} {self.last_exit}; starting it again in {delay:g} s".encode()
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
                    return

    def restart(self) -> None:
        """End the running process; ``keep_running`` starts it again."""
        self._send(signal.SIGTERM)

    async def stop(self, deadline_seconds: float) -> None:
        """Ask it to end, and kill it when it has not after ``deadline_seconds``. Legal twice."""
        self._stopping.set()
        self._send(signal.SIGTERM)
        try:
            async with asyncio.timeout(deadline_seconds):
                while self._process is not None:
                    await self.ended.wait()
        except TimeoutError:
            message = f"{self.name} did not end within {deadline_seconds:g} s; killing it"
            self._output.line("tandem", message.encode())
            self.kill()
            while self._process is not None:
                await self.ended.wait()

    def kill(self) -> None:
        """End it at once."""
        self._stopping.set()
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _print_output(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        lines = Lines()
        try:
            while data := await process.stdout.read(1 << 16):
                for line in lines.feed(data):
                    self._output.line(self.name, line)
        finally:
            for line in lines.rest():
                self._output.line(self.name, line)


def describe_exit(status: int) -> str:
    """``"exited with status 1"``, ``"was killed by SIGSEGV"``."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"

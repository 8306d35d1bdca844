"""The service's side of one child: its socket, its pidfd, its death."""

import asyncio
import contextlib
import signal
from collections.abc import Callable

from jobs_service import memfd
from jobs_service.pool import linux, wire


class ChildHandle:
    """One child, from the request to fork it until the zygote has reaped it."""

    __slots__ = (
        "_deadline",
        "_exit",
        "_loop",
        "_on_deadline",
        "_pidfd",
        "_timer",
        "_timer_due",
        "channel",
        "cpu_seconds",
        "id",
        "pid",
        "seq",
    )

    def __init__(
        self,
        child_id: int,
        channel: wire.Channel,
        loop: asyncio.AbstractEventLoop,
        on_deadline: "Callable[[ChildHandle], None]",
    ) -> None:
        self.id = child_id
        self.channel = channel
        self.pid = 0
        """0 until it said hello."""
        self.seq = 0
        """How many runs it was given."""
        self.cpu_seconds = 0.0
        """Spent by its finished runs."""
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0  # uvloop's handles don't know it when it has passed
        self._on_deadline = on_deadline
        self._pidfd = -1
        self._loop = loop
        self._exit: asyncio.Future[wire.Exited | None] = loop.create_future()

    def introduce(self, pid: int, pidfd: int) -> None:
        """It said hello."""
        self.pid = pid
        self._pidfd = pidfd

    def kill(self) -> None:
        """SIGKILL; by pidfd, so that no other process that got its number can be hit."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Let go of its descriptors; what it still says is not heard."""
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.channel.fileno() >= 0:
            self._loop.remove_reader(self.channel.fileno())
            self.channel.close()
        if self._pidfd >= 0:
            memfd.close(self._pidfd)
            self._pidfd = -1

    def limit(self, seconds: float) -> None:
        """Have ``on_deadline`` called unless :meth:`unlimit` comes within ``seconds``.

        A timer that is under way and early enough stays: it looks again when it fires. So
        short runs with long limits, one after the other, cost no timer each.
        """
        self._deadline = deadline = self._loop.time() + seconds
        if self._timer is None or self._timer_due > deadline:
            self._arm(deadline)

    def unlimit(self) -> None:
        self._deadline = None

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = deadline
        self._timer = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._deadline > self._loop.time():
            self._arm(self._deadline)
        else:
            self._on_deadline(self)

    def usage_now(self) -> tuple[float, int]:
        """CPU seconds since its last finished run, and peak bytes, while it lives."""
        cpu_seconds, peak_bytes = linux.usage_of(self.pid)
        return max(0.0, cpu_seconds - self.cpu_seconds), peak_bytes

    def exited(self, exited: wire.Exited | None) -> None:
        """The zygote reaped it, or can't any more (None)."""
        if not self._exit.done():
            self._exit.set_result(exited)

    def on_exit(self, callback: Callable[[wire.Exited | None], None], within: float) -> None:
        """Call back, once, with how it ended; with None when nobody knows ``within`` seconds."""
        timer = self._loop.call_later(within, self.exited, None)

        def done(future: asyncio.Future[wire.Exited | None]) -> None:
            timer.cancel()
            callback(future.result())

        self._exit.add_done_callback(done)

"""Keeps the pool's children: as many as slots and spares, replaced as soon as one dies.

A child is *starting* until it says hello, then *idle* or *busy*. When it is dead, or as good
as dead, it leaves at once and the next one is asked for. When children or zygotes die
without ever being of use, the pauses between new ones grow.
"""

import asyncio
from typing import Protocol

import msgspec
import structlog

from jobs_service.pool import wire
from jobs_service.pool.child_handle import ChildHandle
from jobs_service.pool.work import PoolConfig, PoolError
from jobs_service.pool.zygote_handle import ZygoteHandle, how_it_ended

log = structlog.get_logger()

_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 5.0
_HOPELESS_FAILURES = 3

Answer = wire.Progressed | wire.Returned | wire.Raised


class ChildrenListener(Protocol):
    """Who gives the children their work; always called on the event loop."""

    def child_idle(self) -> None:
        """There is a new idle child."""

    def child_said(self, child: ChildHandle, message: Answer, fds: list[int]) -> None:
        """``fds`` belong to the listener."""

    def child_overdue(self, child: ChildHandle) -> None:
        """Its limit has passed."""

    def child_lost(self, child: ChildHandle, why: str) -> None:
        """It is gone, idle or busy; ``why`` is empty when it simply died."""

    def no_children(self, reason: str) -> None:
        """None could be started, several times in a row; trying goes on."""


class Children:
    """Owns the zygote and every child; knows nothing about runs."""

    def __init__(self, config: PoolConfig, listener: ChildrenListener) -> None:
        self._config = config
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._decoder: msgspec.msgpack.Decoder[wire.FromChild] = msgspec.msgpack.Decoder(
            wire.FromChild
        )
        self._wanted = config.slots + config.spares
        self._last_id = 0
        self._living: dict[int, ChildHandle] = {}
        self._idle: list[ChildHandle] = []
        self._unreaped: dict[int, ChildHandle] = {}
        self._failures = 0
        """Children and zygotes in a row that ended before they were of any use."""
        self._zygote_useful = False
        self._pause: asyncio.TimerHandle | None = None
        self._closing = False
        self._zygote_ready = False
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._zygote = ZygoteHandle(config, self, self._loop)

    async def started(self) -> None:
        """Wait until there is an idle child for every slot.

        Raises:
            PoolError: the zygote can't import what it should.
        """
        await self._started

    @property
    def zygote_pid(self) -> int:
        return self._zygote.pid

    @property
    def living(self) -> list[ChildHandle]:
        return list(self._living.values())

    def take_idle(self) -> ChildHandle | None:
        """An idle child, now busy: the one that was last in use, for its caches are warm."""
        return self._idle.pop() if self._idle else None

    def give_back(self, child: ChildHandle) -> None:
        """It is idle again."""
        self._idle.append(child)

    def discard(self, child: ChildHandle) -> None:
        """Kill a child, whatever it does, and start the next one. Returns at once."""
        child.kill()
        if child.pid == 0:
            self._zygote.kill_child(child.id)
        self._remove(child)
        self._replenish()

    async def close(self) -> None:
        """Kill them all, and return when no process is left."""
        self._closing = True
        if self._pause is not None:
            self._pause.cancel()
        for child in self.living:
            child.kill()
            self._remove(child)
        self._zygote.end()
        await self._zygote.ended()

    # What the zygote says.

    def zygote_ready(self) -> None:
        self._zygote_ready = True
        self._replenish()

    def zygote_dying(self) -> None:
        """All its children die (PR_SET_PDEATHSIG), so none may be given a run any more."""
        self._zygote_ready = False
        for child in self._unreaped.values():
            child.exited(None)
        self._unreaped.clear()
        lost = self.living
        for child in lost:
            child.kill()
            self._remove(child)
        for child in lost:
            self._listener.child_lost(child, "was killed, for the pool's zygote died")

    def zygote_lost(self, reason: str) -> None:
        """Start another one."""
        if self._closing:
            return
        log.error("pool.zygote_lost", reason=reason)
        if not self._zygote_useful:
            self._count_failure(reason)
        self._retry_later()

    def child_exited(self, exited: wire.Exited) -> None:
        child = self._unreaped.pop(exited.child, None)
        if child is None:
            return
        child.exited(exited)
        if child.pid == 0:
            self._count_failure(f"a new child {how_it_ended(exited.code)}")
        # Its last words may still be unread; and if a process that it forked holds its
        # socket, its end of file never comes.
        while exited.child in self._living and self._on_readable(child):
            pass
        if exited.child in self._living:
            self._lost(child)

    # What the children say.

    def _on_readable(self, child: ChildHandle) -> bool:
        """Hear one message; False when there is none."""
        try:
            data, fds = child.channel.receive()
        except BlockingIOError:
            return False
        except EOFError:
            self._lost(child)
            return False
        except wire.WireError as error:
            self._distrust(child, str(error))
            return True
        try:
            message = self._decoder.decode(data)
        except msgspec.MsgspecError as error:
            wire.close_all(fds)
            self._distrust(child, str(error))
            return True
        if not isinstance(message, wire.Hello):
            self._listener.child_said(child, message, fds)
        elif child.pid == 0 and len(fds) == 1:
            self._welcome(child, message.pid, fds[0])
        else:
            wire.close_all(fds)
            self._distrust(child, "a second hello")
        return True

    def _welcome(self, child: ChildHandle, pid: int, pidfd: int) -> None:
        child.unlimit()
        child.introduce(pid, pidfd)
        self._failures = 0
        self._zygote_useful = True
        self._idle.append(child)
        if not self._started.done() and len(self._idle) >= self._config.slots:
            self._started.set_result(None)
        self._listener.child_idle()

    def _lost(self, child: ChildHandle) -> None:
        self._zygote.hear()  # when that is what killed it, the others are as good as dead too
        if child.id not in self._living:
            return
        self._remove(child)
        if child.pid == 0:
            self._retry_later()
        else:
            self._replenish()
        self._listener.child_lost(child, "")

    def _distrust(self, child: ChildHandle, what: str) -> None:
        log.error("pool.child_distrusted", pid=child.pid, reason=what)
        self.discard(child)
        self._listener.child_lost(child, f"was killed, for it sent what it must not: {what}")

    def _remove(self, child: ChildHandle) -> None:
        child.close()
        self._living.pop(child.id, None)
        if child in self._idle:
            self._idle.remove(child)

    # Keeping their number.

    def _replenish(self) -> None:
        """Ask for as many children as are missing, unless it is time to pause."""
        if self._closing or self._pause is not None or not self._zygote_ready:
            return
        while len(self._living) < self._wanted:
            try:
                self._fork()
            except OSError as error:  # the zygote is gone or choked; or we are out of descriptors
                log.warning("pool.no_fork", error=str(error))
                self._retry_later()
                return

    def _fork(self) -> None:
        channel, theirs = wire.channel_pair()
        self._last_id += 1
        child = ChildHandle(self._last_id, channel, self._loop, self._overdue)
        with theirs:
            try:
                self._zygote.fork(child.id, theirs)
            except OSError:
                channel.close()
                raise
        self._living[child.id] = self._unreaped[child.id] = child
        self._loop.add_reader(channel.fileno(), self._on_readable, child)
        child.limit(self._config.start_seconds)

    def _overdue(self, child: ChildHandle) -> None:
        if child.pid:
            self._listener.child_overdue(child)
        else:
            log.error("pool.child_start_too_slow", child=child.id)
            self.discard(child)

    def _count_failure(self, reason: str) -> None:
        self._failures += 1
        hopeless = self._failures >= _HOPELESS_FAILURES
        if not self._started.done() and (hopeless or not self._zygote_useful):
            self._started.set_exception(PoolError(reason))
        elif hopeless:
            self._listener.no_children(reason)

    def _retry_later(self) -> None:
        """Try again after a pause, which grows with the failures."""
        if self._pause is None and not self._closing:
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(self._failures, 20), _LONGEST_PAUSE_SECONDS)
            self._pause = self._loop.call_later(pause, self._resume)

    def _resume(self) -> None:
        self._pause = None
        if not self._zygote.gone:
            self._replenish()
            return
        self._zygote_useful = False
        try:
            self._zygote = ZygoteHandle(self._config, self, self._loop)
        except OSError as error:  # out of processes, memory or descriptors
            self._count_failure(f"no zygote can be started: {error}")
            self._retry_later()

"""The pool: takes runs, gives each to a child, tells how it ended. Any child may die any time.

One run per child at a time, one message to start it, no Task per run. A run that is over its
time, or that nobody awaits any more, loses its child; a spare has taken the slot by then.
"""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

import structlog

from jobs_service import memfd
from jobs_service.job import Progress
from jobs_service.pool import payload, wire
from jobs_service.pool.answer import Returned, check, finished, usage_of
from jobs_service.pool.child_handle import ChildHandle
from jobs_service.pool.children import Answer, Children
from jobs_service.pool.line import WaitingLine
from jobs_service.pool.work import (
    FailureKind,
    Finished,
    PoolConfig,
    PoolError,
    RunFailed,
    Usage,
    Work,
)
from jobs_service.pool.zygote_handle import how_it_ended

log = structlog.get_logger()

OnProgress = Callable[[Progress], None]


class ChildInfo(NamedTuple):
    """One living child, for health checks and operators."""

    pid: int
    run_id: str | None
    """What it runs; None when it is idle."""


class _Run:
    """A run between the call of :meth:`Pool.run` and its answer."""

    __slots__ = ("child", "future", "on_progress", "params_fd", "seq", "started", "work")

    def __init__(
        self,
        work: Work,
        params_fd: int | None,
        on_progress: OnProgress | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.work = work
        self.params_fd = params_fd
        self.on_progress = on_progress
        self.future: asyncio.Future[Returned] = loop.create_future()
        self.child: ChildHandle | None = None
        self.seq = 0
        self.started = 0.0

    def forget_answer(self) -> None:
        """Close what came with an answer that nobody will see."""
        if self.future.exception() is None:
            wire.close_all(self.future.result().fds)


class Pool:
    """``async with Pool(config) as pool: await pool.run(work)``."""

    def __init__(self, config: PoolConfig) -> None:
        self._config = config
        self._line: WaitingLine[_Run] = WaitingLine()
        self._busy: dict[int, _Run] = {}
        """By child id."""
        self._children: Children | None = None

    async def __aenter__(self) -> Self:
        """Start the zygote and wait for a child in every slot.

        Raises:
            PoolError: a package can't be imported, or the pool can't start otherwise.
        """
        self._loop = asyncio.get_running_loop()
        self._children = Children(self._config, self)
        try:
            await self._children.started()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Kill every child and fail every run; no process is left afterwards. Twice is fine."""
        children, self._children = self._children, None
        for run in [*self._busy.values(), *self._line.clear()]:
            _fail(run, "crashed", "pool-closed", "The pool was closed before the run ended.")
        self._busy.clear()
        if children is not None:
            await children.close()

    @property
    def slots(self) -> int:
        return self._config.slots

    @property
    def busy(self) -> int:
        """Runs that a child has just now."""
        return len(self._busy)

    @property
    def waiting(self) -> int:
        """Runs in the waiting line."""
        return len(self._line)

    @property
    def free_slots(self) -> int:
        return max(0, self._config.slots - self.busy - self.waiting)

    @property
    def zygote_pid(self) -> int:
        """0 while the pool is closed."""
        return self._children.zygote_pid if self._children else 0

    async def check(self) -> None:
        """For readiness.

        Raises:
            PoolError: it is closed, or no child is alive.
        """
        if self._children is None:
            raise PoolError("the pool is closed")
        if not self.children():
            raise PoolError("the pool has no living child")

    def children(self) -> list[ChildInfo]:
        """The living children that are ready."""
        living = self._children.living if self._children else []
        return [
            ChildInfo(child.pid, run.work.run_id if (run := self._busy.get(child.id)) else None)
            for child in living
            if child.pid
        ]

    async def run(self, work: Work, on_progress: OnProgress | None = None) -> Finished:
        """Run ``work`` in a child and return what it returned.

        Cancelling takes it out of the waiting line, or kills its child.

        Raises:
            RunFailed: it ended any other way.
        """
        if len(work.inputs) > wire.MAX_RUN_FILES:
            message = f"{len(work.inputs)} inputs; a run can have {wire.MAX_RUN_FILES}."
            raise RunFailed("discarded", "too-many-files", message)
        large = len(work.params) > wire.MAX_INLINE
        params_fd = await payload.fill(work.params) if large else None
        try:
            returned = await self._run(_Run(work, params_fd, on_progress, self._loop))
        finally:
            if params_fd is not None:
                memfd.close(params_fd)
        return await finished(work, returned)

    async def _run(self, run: _Run) -> Returned:
        if self._children is None:
            raise RunFailed("crashed", "pool-closed", "The pool is closed.")
        self._line.join(run, urgent=run.work.urgent)
        self._dispatch()
        try:
            return await run.future
        except asyncio.CancelledError:
            self._abandon(run)
            raise

    def _abandon(self, run: _Run) -> None:
        """Nobody awaits it any more."""
        if run.child is not None and self._busy.get(run.child.id) is run:
            self._kill(run.child)
        elif not self._line.leave(run) and run.future.done() and not run.future.cancelled():
            run.forget_answer()  # it ended in the very tick of its cancellation

    def _kill(self, child: ChildHandle) -> None:
        del self._busy[child.id]
        if self._children is not None:
            self._children.discard(child)
        self._dispatch()

    # From the line to a child.

    def _dispatch(self) -> None:
        """Give waiting runs to idle children while slots are free."""
        children = self._children
        if children is None:
            return
        while self._line and len(self._busy) < self._config.slots:
            child = children.take_idle()
            if child is None:
                return
            self._start(children, child, self._line.next())

    def _start(self, children: Children, child: ChildHandle, run: _Run) -> None:
        work = run.work
        child.seq = run.seq = child.seq + 1
        message = wire.Start(
            seq=run.seq,
            job=work.job,
            params=work.params if run.params_fd is None else None,
            inputs=tuple([wire.FileInfo(i.id, i.filename, i.content_type) for i in work.inputs]),
            run_id=work.run_id,
            attempt=work.attempt,
            files_seed=work.files_seed,
            database_url=work.database_url,
        )
        fds = [file.fd for file in work.inputs]
        if run.params_fd is not None:
            fds.insert(0, run.params_fd)
        try:
            child.channel.send(message, fds)
        except (ConnectionError, BlockingIOError):
            # It died while it was idle, or never read: the run has not begun.
            self._line.join(run, urgent=work.urgent, front=True)
            children.discard(child)
            return
        except OSError as error:  # a bad descriptor, or too many in flight
            children.give_back(child)
            _fail(run, "failed", "bad-input", f"The inputs can't be handed over: {error}")
            return
        run.child = child
        run.started = time.perf_counter()
        self._busy[child.id] = run
        child.limit(work.time_limit)

    # What the children say (the listener of Children).

    def child_overdue(self, child: ChildHandle) -> None:
        run = self._busy[child.id]
        cpu_seconds, peak_bytes = child.usage_now()
        self._kill(child)
        limit = run.work.time_limit
        message = f"It took longer than its time limit of {limit:g} seconds."
        usage = self._usage(run, child, cpu_seconds, peak_bytes)
        _fail(run, "time-limit", "time-limit", message, usage=usage)

    def child_idle(self) -> None:
        self._dispatch()

    def child_said(self, child: ChildHandle, message: Answer, fds: list[int]) -> None:
        run = self._busy.get(child.id)
        if run is None or message.seq != run.seq:
            wire.close_all(fds)  # a thread that a function left behind
        elif isinstance(message, wire.Progressed):
            wire.close_all(fds)
            self._progressed(run, message)
        else:
            self._answered(child, run, message, fds)

    def child_lost(self, child: ChildHandle, why: str) -> None:
        run = self._busy.pop(child.id, None)
        self._dispatch()
        if run is None:
            return

        def exited(exit_: wire.Exited | None) -> None:
            how = why or how_it_ended(exit_.code if exit_ else None)
            cpu_seconds = exit_.cpu_seconds - child.cpu_seconds if exit_ else 0.0
            usage = self._usage(run, child, cpu_seconds, exit_.peak_bytes if exit_ else 0)
            _fail(run, "crashed", "crashed", f"Its process {how}.", usage=usage)

        child.on_exit(exited, self._config.exit_seconds)

    def no_children(self, reason: str) -> None:
        for run in self._line.clear():
            _fail(run, "crashed", "no-children", f"No child can be started: {reason}")

    def _progressed(self, run: _Run, message: wire.Progressed) -> None:
        if run.on_progress is None or run.future.done():
            return
        try:
            run.on_progress(Progress(message.done, message.total, message.note))
        except Exception:
            log.exception("pool.progress_callback_failed", run=run.work.run_id)

    def _answered(
        self,
        child: ChildHandle,
        run: _Run,
        message: wire.Returned | wire.Raised,
        fds: list[int],
    ) -> None:
        if isinstance(message, wire.Returned):
            try:
                check(message, fds)
            except wire.WireError as error:
                wire.close_all(fds)
                self._kill(child)
                text = f"Its process sent {error}."
                _fail(run, "crashed", "bad-answer", text, usage=usage_of(child.pid, message.cost))
                return
        child.unlimit()
        child.cpu_seconds += message.cost.cpu_seconds
        del self._busy[child.id]
        if self._children is not None:
            self._children.give_back(child)
        self._dispatch()  # before anyone hears of this one: the child has waited long enough
        if run.future.done():
            wire.close_all(fds)
        elif isinstance(message, wire.Returned):
            run.future.set_result(Returned(child.pid, message, fds))
        else:
            wire.close_all(fds)
            _fail(
                run,
                message.kind,
                message.code,
                message.message,
                message.traceback,
                usage=usage_of(child.pid, message.cost),
            )

    def _usage(self, run: _Run, child: ChildHandle, cpu_seconds: float, peak_bytes: int) -> Usage:
        return Usage(
            pid=child.pid,
            seconds=time.perf_counter() - run.started,
            cpu_seconds=max(0.0, cpu_seconds),
            peak_bytes=peak_bytes,
        )


def _fail(
    run: _Run,
    kind: FailureKind,
    code: str,
    message: str,
    traceback: str = "",
    usage: Usage | None = None,
) -> None:
    if not run.future.done():
        run.future.set_exception(RunFailed(kind, code, message, traceback, usage))

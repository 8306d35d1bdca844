"""Tasks whose owner is an object, not a block of code: it cancels them and can await them."""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


class Tasks:
    """The running tasks of one owner, which outlive the coroutine that started them."""

    __slots__ = ("_tasks", "_within")

    def __init__(self, within: "Tasks | None" = None) -> None:
        """``within``: whose they are, too; that one may wait for them."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._within = within

    def start(
        self, work: Coroutine[Any, Any, None], context: contextvars.Context
    ) -> asyncio.Task[None]:
        """Run ``work``. An error of it is a bug: it is logged, and goes no further."""
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._add(task)
        task.add_done_callback(self._done)
        return task

    def cancel(self) -> None:
        """Cancel all of them."""
        for task in list(self._tasks):
            task.cancel()

    async def ended(self) -> None:
        """Wait until none is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _add(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        if self._within is not None:
            self._within._add(task)  # noqa: SLF001 -- another of this class

    def _discard(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._within is not None:
            self._within._discard(task)  # noqa: SLF001 -- another of this class

    def _done(self, task: asyncio.Task[None]) -> None:
        self._discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("rpc.task_failed", exc_info=error)

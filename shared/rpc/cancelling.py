"""Methods of ``tandem1``: each can be cancelled by itself, and is part of a trace."""

import asyncio
from types import TracebackType

from shared.rpc import trace
from shared.rpc.ddp.events import MethodCalled
from shared.rpc.errors import MethodError


class Cancelling:
    """Ends methods of one session. The task of one goes on: it may have others to run."""

    __slots__ = ("_errors", "_tasks")

    def __init__(self) -> None:
        self._tasks: dict[MethodCalled, asyncio.Task[object]] = {}
        self._errors: dict[MethodCalled, MethodError] = {}

    def stop(self, call: MethodCalled, error: MethodError) -> None:
        """Cancel a method, or don't let it begin: its scope then raises this error."""
        if call not in self._errors:
            self._errors[call] = error
            if call in self._tasks:
                self._tasks[call].cancel()

    def scope(self, call: MethodCalled) -> "_Scope":
        """Surround the method by this; what it raises by itself goes through."""
        return _Scope(call, self._tasks, self._errors)

    def ended(self, call: MethodCalled) -> None:
        """It has ended, with a scope or without."""
        self._errors.pop(call, None)


class _Scope:
    __slots__ = ("_call", "_errors", "_tasks", "_trace")

    def __init__(
        self,
        call: MethodCalled,
        tasks: dict[MethodCalled, asyncio.Task[object]],
        errors: dict[MethodCalled, MethodError],
    ) -> None:
        self._call = call
        self._tasks = tasks
        self._errors = errors
        self._trace = None if call.traceparent is None else trace.bound(call.traceparent)

    def __enter__(self) -> None:
        if self._call in self._errors:
            raise self._errors[self._call]
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a method runs in a task")
        self._tasks[self._call] = task
        if self._trace is not None:
            self._trace.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._trace is not None:
            self._trace.__exit__(None, None, None)
        task = self._tasks.pop(self._call)
        told = self._errors.pop(self._call, None)
        if told is None:
            return
        others = task.uncancel()  # somebody else may have cancelled it, too
        if isinstance(error, asyncio.CancelledError) and not others:
            raise told from None

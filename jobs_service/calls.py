"""The jobs service's DDP face: run a job type for a caller who waits.

Methods ``jobs.call``, ``jobs.cancelCall`` and ``jobs.hint``; publication
``calls.progress``. A session that ends takes its calls with it: their children are killed.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import msgspec
from bson import ObjectId

from jobs_service.executor import Executor, Outcome, Request
from jobs_service.pool.pool import Pool
from shared.rpc.calls import LongCalls, Report
from shared.rpc.errors import MethodError
from shared.rpc.server import Method, MethodContext, Publication

ObjectIdText = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{24}$")]

_BUSY_RETRY_MS = 1000

_REASONS = {
    "failed": "The job failed inside. It has been logged.",
    "crashed": "The job's process died.",
}
"""What callers are told instead of the message, which is for operators."""


class CallRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The one parameter of ``jobs.call``."""

    type: str
    params: dict[str, Any] = {}
    id: str = ""
    """The caller's name for this call, for its progress and to cancel it in version 1."""
    owner: ObjectIdText | None = None
    deadline_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """How long the caller will wait from now on, for the line and the run together.

    In ``tandem1`` the method itself says so, and this counts only with an ``id``.
    """


class Calls:
    """Serves calls by way of the executor, as long as the waiting line is not too long."""

    def __init__(
        self, executor: Executor, pool: Pool, *, max_waiting: int, wake_runner: Callable[[], None]
    ) -> None:
        self._executor = executor
        self._pool = pool
        self._max_waiting = max_waiting
        self._wake_runner = wake_runner
        self._long_calls = LongCalls()

    @property
    def methods(self) -> Mapping[str, Method]:
        return {"jobs.call": self._call, "jobs.hint": self._hint, **self._long_calls.methods}

    @property
    def publications(self) -> Mapping[str, Publication]:
        return self._long_calls.publications

    async def _call(self, context: MethodContext, call: CallRequest) -> Any:
        context.unblock()
        if self._pool.waiting >= self._max_waiting:
            raise MethodError(
                "busy", "Too many calls are waiting already.", {"retryAfterMs": _BUSY_RETRY_MS}
            )
        request = Request(
            type=call.type,
            params=call.params,
            run_id=call.id or f"call {context.call_id}",
            owner=None if call.owner is None else ObjectId(call.owner),
        )

        def run(report: Report) -> Awaitable[Outcome]:
            return self._executor.run(request, lambda p: report(p.done, p.total, p.note))

        if context.is_cancellable and not call.id:
            return _answer(await run(context.progress))
        seconds = None if call.deadline_ms is None else call.deadline_ms / 1000
        return _answer(await self._long_calls.run(context.session, call.id, seconds, run))

    async def _hint(self, _context: MethodContext) -> None:
        """A durable job was submitted: look now, before the change stream tells."""
        self._wake_runner()


def _answer(outcome: Outcome) -> Any:
    """The result, or the error that tells the caller what happened and no internals."""
    if outcome.kind == "completed":
        return outcome.result
    # A discard speaks for itself; how an inside failed is nobody else's business.
    code = outcome.code if outcome.kind == "discarded" else outcome.kind
    reason = _REASONS.get(outcome.kind, outcome.message)
    raise MethodError(code, reason, {"kind": outcome.kind})

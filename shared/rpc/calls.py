"""Long calls over plain DDP: each can be cancelled, and tells how far it is.

Any DDP client can use them. It names a call itself, as a parameter of the method; then
``jobs.cancelCall`` with that name ends it, and the publication ``calls.progress`` holds
one document per call in collection ``progress`` (``done``, ``total``, ``note``).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from shared.rpc.errors import MethodError
from shared.rpc.server import Method, MethodContext, Publication, Session, Subscription

Answer = TypeVar("Answer")

Report = Callable[[float, float | None, str], None]
"""``report(done, total, note)``"""

_COLLECTION = "progress"


class LongCalls:
    """The named calls of every session; a session sees and cancels only its own."""

    def __init__(self) -> None:
        self._sessions: dict[str, _SessionCalls] = {}

    @property
    def methods(self) -> Mapping[str, Method]:
        return {"jobs.cancelCall": self._cancel}

    @property
    def publications(self) -> Mapping[str, Publication]:
        return {"calls.progress": self._publish_progress}

    async def run(
        self,
        session: Session,
        call_id: str,
        seconds: float | None,
        work: Callable[[Report], Awaitable[Answer]],
    ) -> Answer:
        """Await ``work`` for at most ``seconds``, under the caller's name for it.

        Raises:
            MethodError: ``cancelled``; ``deadline``; or 400, the name is in use.
        """
        call = self._of(session).begin(call_id)
        try:
            async with asyncio.timeout(seconds) as call.scope:
                return await work(call.report)
        except TimeoutError:
            if call.cancelled:
                raise MethodError("cancelled", "The call was cancelled.") from None
            if call.scope is not None and call.scope.expired():
                raise MethodError("deadline", "The call was not done by its deadline.") from None
            raise
        finally:
            call.end()

    async def _cancel(self, context: MethodContext, call_id: str) -> bool:
        """Whether there was such a call of this session to cancel."""
        return self._of(context.session).cancel(call_id)

    async def _publish_progress(self, sub: Subscription) -> None:
        calls = self._of(sub.session)
        calls.watcher = sub
        sub.on_stop(calls.unwatch)
        sub.ready()

    def _of(self, session: Session) -> "_SessionCalls":
        if (calls := self._sessions.get(session.id)) is None:
            calls = self._sessions[session.id] = _SessionCalls()
            session.on_close(lambda: self._sessions.pop(session.id, None))
        return calls


class _SessionCalls:
    """The calls of one session, and whom to tell of their progress."""

    def __init__(self) -> None:
        self.running: dict[str, _Call] = {}
        self.watcher: Subscription | None = None

    def begin(self, call_id: str) -> "_Call":
        call = _Call(call_id, self)
        if call_id and self.running.setdefault(call_id, call) is not call:
            raise MethodError(400, f"A call {call_id!r} is already running.")
        return call

    def cancel(self, call_id: str) -> bool:
        if (call := self.running.get(call_id)) is None:
            return False
        call.cancel()
        return True

    def unwatch(self) -> None:
        self.watcher = None
        for call in self.running.values():
            call.published = False


class _Call:
    """One running call; one without a name can't be cancelled and tells nobody."""

    def __init__(self, call_id: str, calls: _SessionCalls) -> None:
        self.scope: asyncio.Timeout | None = None
        self.cancelled = False
        self.published = False
        self._id = call_id
        self._calls = calls

    def cancel(self) -> None:
        """End it as its own deadline would, were that now."""
        if self.scope is not None:
            self.cancelled = True
            self.scope.reschedule(asyncio.get_running_loop().time())

    def report(self, done: float, total: float | None, note: str) -> None:
        watcher = self._calls.watcher
        if watcher is None or not self._id:
            return
        publish = watcher.changed if self.published else watcher.added
        publish(_COLLECTION, self._id, {"done": done, "total": total, "note": note})
        self.published = True

    def end(self) -> None:
        self._calls.running.pop(self._id, None)
        if self.published and self._calls.watcher is not None:
            self._calls.watcher.removed(_COLLECTION, self._id)

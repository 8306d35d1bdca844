"""The methods that a client has called and that are not settled yet, in their order.

A call waits in line until it may be sent. A *wait* call runs alone: it is sent once all
calls before it are settled, and what was called after it is sent once it is settled.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec import UNSET

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.events import MethodRaised, MethodReturned
from shared.rpc.ddp.parcels import Parcel, Written
from shared.rpc.ejson import UNDEFINED, Ejson
from shared.rpc.errors import ConnectionLost, EjsonError

Answer = MethodReturned | MethodRaised


class Call(msgspec.Struct, eq=False):
    """One method call on its way."""

    id: str
    text: Written
    """The message that asks for it."""
    retry: bool = False
    """Whether it may be sent again to a server that does not know our session any more."""
    wait: bool = False
    is_first: bool = False
    """Whether it is part of a login, and goes before all that is not."""
    needs_update: bool = False
    """Whether it is settled only when the documents that it changed are in, too."""
    may_have_run: bool = False
    """Whether it was sent, on this session or on one before."""
    answer: Answer | None = None
    """Its result, if that came before its ``updated`` and has to wait for it."""
    is_updated: bool = False
    extra: bytes = b""
    """What else ``tandem1`` says of it, as the end of its text."""
    parcel: Parcel | None = None
    """How it was sent, if bytes travelled beside its text."""


class Outstanding:
    """The calls that wait to be sent, and those that were sent and wait for an answer."""

    def __init__(self, ejson: Ejson, max_queued: int) -> None:
        self._ejson = ejson
        self._max_queued = max_queued
        self._first: dict[str, Call] = {}
        self._queue: dict[str, Call] = {}
        self._sent: dict[str, Call] = {}
        self._alone: str | None = None  # the wait call among the sent ones
        self._any_updated = False

    def add(self, call: Call) -> None:
        """Put a call in line.

        Raises:
            ConnectionLost: too many are in line already.
        """
        queue = self._first if call.is_first else self._queue
        if len(queue) >= self._max_queued:
            raise ConnectionLost("too many calls wait to be sent", may_have_run=False)
        queue[call.id] = call

    @property
    def is_line_empty(self) -> bool:
        """Whether the next call, if it is no wait call, may pass the line by."""
        return not (self._queue or self._first or self._alone)

    def pass_by(self, call: Call) -> None:
        """The call is sent at once."""
        call.may_have_run = True
        self._sent[call.id] = call

    def release(self, *, first_only: bool) -> list[Call]:
        """Take the calls out of the line that may be sent now."""
        calls = self._release_from(self._first) if self._first else []
        if self._queue and not first_only and not self._first:
            calls += self._release_from(self._queue)
        return calls

    def _release_from(self, queue: dict[str, Call]) -> list[Call]:
        going: list[Call] = []
        for call in queue.values():
            if self._alone is not None or (call.wait and self._sent):
                break
            call.may_have_run = True
            self._sent[call.id] = call
            if call.wait:
                self._alone = call.id
            going.append(call)
        for call in going:
            del queue[call.id]
        return going

    @property
    def is_anything_queued(self) -> bool:
        """Whether a call waits to be sent."""
        return bool(self._queue or self._first)

    def answered(
        self, message: m.Result, blobs: list[bytes] | None = None, *, is_complete: bool
    ) -> Answer | None:
        """A result came; returns it if that settles its call.

        ``is_complete``: whether all documents that came are shown.
        ``blobs``: what came beside it, if the version has such.
        """
        call = self._sent.get(message.id)
        if call is None or call.answer is not None:
            return None
        call.answer = self._read(message, blobs)
        if call.needs_update and not (call.is_updated and is_complete):
            self._any_updated |= call.is_updated
            return None
        del self._sent[call.id]
        if self._alone == call.id:
            self._alone = None
        return call.answer

    def _read(self, message: m.Result, blobs: list[bytes] | None) -> Answer:
        try:
            if message.error is not UNSET:
                return MethodRaised(message.id, m.decode_error(message.error))
            raw = message.result
            return MethodReturned(
                message.id, UNDEFINED if raw is UNSET else self._ejson.loads(bytes(raw), blobs)
            )
        except EjsonError as error:
            return _unreadable(message.id, str(error))

    def answered_unreadably(self, call_id: str) -> Answer | None:
        """A result came that can't even be taken apart; returns what settles its call."""
        return self.failed(call_id, EjsonError("the result can't be read: nested too deeply"))

    def failed(self, call_id: str, error: Exception) -> Answer | None:
        """A call can't be sent, or its result can't be had; returns what settles it."""
        if call_id not in self._sent:
            return None
        self.remove(call_id)
        return MethodRaised(call_id, error)

    def updated(self, ids: Sequence[str]) -> None:
        """What these methods changed has been sent; :meth:`complete` settles them."""
        for call_id in ids:
            call = self._sent.get(call_id)
            if call is not None and call.needs_update:
                call.is_updated = True
                self._any_updated = True

    def complete(self) -> list[Answer]:
        """All documents are shown: settles the calls that only waited for that."""
        if not self._any_updated:
            return []
        self._any_updated = False
        done = [call for call in self._sent.values() if call.is_updated]
        answers = [call.answer for call in done if call.answer is not None]
        for answer in answers:
            self.remove(answer.id)
        return answers

    def may_have_run(self, call_id: str) -> bool:
        """Whether that call was sent."""
        call = self._sent.get(call_id) or self._queue.get(call_id)
        return call is not None and call.may_have_run

    def remove(self, call_id: str) -> Call | None:
        """The call is settled, or nobody waits for it any more; returns it."""
        call = self._sent.pop(call_id, None) or self._queue.pop(call_id, None)
        call = call or self._first.pop(call_id, None)
        if self._alone == call_id:
            self._alone = None
        return call

    def unanswered(self) -> list[Call]:
        """The calls that were sent, to be sent again on the same session."""
        return [call for call in self._sent.values() if call.answer is None and call.may_have_run]

    def withdraw(
        self, keep: Callable[[Call], object], reason: str
    ) -> tuple[list[Call], list[Answer]]:
        """Settle every call that ``keep`` denies, and every part of a login; returns them.

        By its answer if that is known, else by ``ConnectionLost``.
        """
        gone = [call for call in self._all() if call.is_first or not keep(call)]
        for call in gone:
            self.remove(call.id)
        return gone, [call.answer or _lost(call, reason) for call in gone]

    def begin_anew(self) -> set[str]:
        """The session is a new one: what was sent waits again; returns the ids of these.

        A call whose result is known is not repeated: its documents come with the others.
        """
        again = {call.id: call for call in self._sent.values() if call.answer is None}
        self._queue = again | self._queue
        self._sent = {call.id: call for call in self._sent.values() if call.answer is not None}
        for call in again.values():
            call.is_updated = False
        for call in self._sent.values():
            call.is_updated = self._any_updated = True
        if self._alone not in self._sent:
            self._alone = None
        return set(again)

    def _all(self) -> Iterator[Call]:
        yield from self._sent.values()
        yield from self._first.values()
        yield from self._queue.values()


def _unreadable(call_id: str, reason: str) -> MethodRaised:
    return MethodRaised(call_id, EjsonError(f"the result can't be read: {reason}"))


def _lost(call: Call, reason: str) -> MethodRaised:
    return MethodRaised(call.id, ConnectionLost(reason, may_have_run=call.may_have_run))

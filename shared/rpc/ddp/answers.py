"""The methods of one session: which are running, and what those that ended were answered.

Every method gets a ``result``, and an ``updated`` once the client has been sent all data
that the method's own writes changed (Meteor's write fence). ``updated`` goes first when no
write is pending, as Meteor has it.

No method runs twice. Its id may come again because a client's library repeats itself: then
it is answered once more. Or because the connection was lost in between: then the client has
or will get the answer to the first one, when the session is the same; and when it is not,
the answer is here, handed on by the session before.
"""

from collections.abc import Callable, Sequence

import msgspec

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.events import MethodCalled
from shared.rpc.ddp.parcels import Written, written
from shared.rpc.ddp.remembered import Remembered
from shared.rpc.errors import MethodError

_INTERRUPTED = MethodError(
    "interrupted", "The connection was lost while the method ran; it may have had an effect."
)
_RESULT_LOST = MethodError("result-lost", "The method ran, but its result is no longer known.")


class _Running(msgspec.Struct):
    """A method that still owes its client something, or waits for its turn."""

    fingerprint: int
    connection: int
    """On which connection of this session its id came last."""
    handler: MethodCalled | None = None
    """Once it has begun."""
    times: int = 1
    """How often it must be answered."""
    writes: int = 0
    result: Written | None = None
    """Its answer, when that has been sent but ``updated`` has not."""


class Answers:
    """Answers each method, and remembers how."""

    __slots__ = ("_connection", "_remembered", "_running", "_send", "_session", "on_end")

    def __init__(self, send: Callable[..., None], remembered: Remembered) -> None:
        """``remembered`` may come from the client's session before this one."""
        self._send = send
        self._remembered = remembered
        self._running: dict[str, _Running] = {}
        self._session = remembered.begin_session()
        self._connection = 0
        self.on_end: Callable[[str], None] | None = None
        """Called with the id of each expected method that has been answered."""

    @property
    def outstanding(self) -> int:
        """How many methods run or wait."""
        return len(self._running)

    def expect(self, method_id: str, fingerprint: int) -> None:
        """A method will begin; :meth:`repeat` has said that its id is new."""
        self._running[method_id] = _Running(fingerprint, self._connection)

    def begin(self, handler: MethodCalled) -> None:
        """An expected method has begun."""
        self._running[handler.id].handler = handler

    def drop(self, method_id: str) -> int:
        """An expected method does not exist; returns how often it must be answered."""
        times = self._running.pop(method_id).times
        self._ended(method_id)
        return times

    def resumed(self) -> None:
        """The session goes on over another connection, and nothing that was sent is lost.

        The client can't know yet, and may send methods again that it has no answer to: that
        is on its way, or will be.
        """
        self._connection += 1

    def repeat(self, method_id: str, fingerprint: int) -> bool:
        """If that method is known, see that it gets the answers that it must."""
        running = self._running.get(method_id)
        if running is not None:
            if running.connection != self._connection:
                running.connection = self._connection
            else:
                running.times += 1
                if running.result is not None:
                    self._send(running.result)
            return True
        answer = self._remembered.get(method_id)
        if answer is None:
            return False
        if answer.session == self._session:
            will_come = answer.connection != self._connection
        elif answer.fingerprint == fingerprint:
            answer.session, will_come = self._session, False
        else:
            return False  # the client has begun to count anew
        answer.connection = self._connection
        if not will_come:
            self._send(*(answer.texts or failed(method_id, _RESULT_LOST)))
        return True

    def is_expected(self, method_id: str) -> bool:
        """Whether a method of that id runs or waits."""
        return method_id in self._running

    def running(self, method_id: str) -> MethodCalled | None:
        """The method of that id, if it has begun and not been answered."""
        running = self._running.get(method_id)
        return None if running is None or running.result is not None else running.handler

    def answer(self, result: m.Result, blobs: Sequence[bytes] | None = None) -> None:
        """A method has ended; ``blobs`` are those that its result refers to."""
        running = self._running.get(result.id)
        if running is None:
            return
        self._ended(result.id)
        text = written(m.encode(result), blobs, may_wait=True)
        if running.writes:
            running.result = text
            self._send(*(text,) * running.times)
        else:
            self._settle(result.id, running, (m.encode(m.Updated([result.id])), text))

    def begin_write(self, handler: MethodCalled) -> bool:
        """Hold ``updated`` back; False when it has been sent already."""
        running = self._running.get(handler.id)
        if running is None or running.handler is not handler:
            return False
        running.writes += 1
        return True

    def end_write(self, handler: MethodCalled) -> None:
        """All data of one write has been published."""
        running = self._running.get(handler.id)
        if running is None or running.handler is not handler:
            return
        running.writes -= 1
        if running.writes == 0 and running.result is not None:
            updated = m.encode(m.Updated([handler.id]))
            self._send(*(updated,) * running.times)
            running.times = 0
            self._settle(handler.id, running, (running.result, updated))

    def end(self) -> Remembered:
        """The session is over: what the one that follows it must know."""
        for method_id, running in self._running.items():
            if running.handler is None:
                continue  # it has not begun, so it may still do so
            texts: tuple[Written, Written]
            if running.result is not None:
                texts = running.result, m.encode(m.Updated([method_id]))
            else:
                texts = failed(method_id, _INTERRUPTED)
            self._remember(method_id, running, texts)
        self._running.clear()
        return self._remembered

    def _ended(self, method_id: str) -> None:
        if self.on_end is not None:
            self.on_end(method_id)

    def _settle(self, method_id: str, running: _Running, texts: tuple[Written, Written]) -> None:
        del self._running[method_id]
        self._send(*texts * running.times)
        self._remember(method_id, running, texts)

    def _remember(self, method_id: str, running: _Running, texts: tuple[Written, Written]) -> None:
        self._remembered.add(
            method_id,
            texts,
            session=self._session,
            connection=running.connection,
            fingerprint=running.fingerprint,
        )


def failed(method_id: str, error: MethodError) -> tuple[bytes, bytes]:
    """The texts that answer a method with an error."""
    result = m.Result(method_id, error=m.encode_error(error))
    return m.encode(m.Updated([method_id])), m.encode(result)

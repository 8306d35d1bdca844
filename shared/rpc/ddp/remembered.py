"""What finished methods were answered: kept, so that none runs again that is sent again.

A client sends a method again when it has not heard of it before its connection was lost,
either in the same session or in the one that follows it; then this goes from one to the other.
"""

from collections import OrderedDict

import msgspec

from shared.rpc.ddp.parcels import Written

_OVERHEAD_BYTES = 200
"""What an entry takes besides its texts, about."""


class Answer(msgspec.Struct, gc=False):
    """How one method ended."""

    fingerprint: int
    """Of the call's name and parameters: another session may use the id for another call."""
    session: int
    """In which session of the client it came last, counted from the first…"""
    connection: int
    """…and on which connection of that session."""
    texts: tuple[Written, ...]
    """What was sent; empty when it was too much to keep."""


class Remembered:
    """Answers by the method's id, the last ones: bounded in number and in bytes."""

    __slots__ = ("_answers", "_bytes", "_max_bytes", "_max_count", "_sessions", "_whole")

    def __init__(self, *, max_count: int, max_bytes: int) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._whole: OrderedDict[str, int] = OrderedDict()  # those with texts → bytes, about
        self._bytes = 0  # of those
        self._sessions = 0

    @property
    def size(self) -> int:
        """Bytes, about; 0 when nothing is remembered."""
        return self._bytes + (len(self._answers) - len(self._whole)) * _OVERHEAD_BYTES

    def begin_session(self) -> int:
        """Another session of the client begins; returns its number."""
        self._sessions += 1
        return self._sessions

    def get(self, method_id: str) -> Answer | None:
        """What is known of this method, if it has ended."""
        return self._answers.get(method_id)

    def add(
        self,
        method_id: str,
        texts: tuple[Written, Written],
        *,
        session: int,
        connection: int,
        fingerprint: int,
    ) -> None:
        """Remember how a method ended. The oldest ones pay for it, first by their texts."""
        self._forget(method_id)
        answer = Answer(fingerprint, session, connection, ())
        self._answers[method_id] = answer
        size = len(texts[0]) + len(texts[1]) + _OVERHEAD_BYTES
        if size <= self._max_bytes:
            answer.texts = texts
            self._whole[method_id] = size
            self._bytes += size
        while self._bytes > self._max_bytes:
            oldest, size = self._whole.popitem(last=False)
            self._bytes -= size
            self._answers[oldest].texts = ()
        if len(self._answers) > self._max_count:
            self._forget(next(iter(self._answers)))

    def _forget(self, method_id: str) -> None:
        if self._answers.pop(method_id, None) is not None:
            self._bytes -= self._whole.pop(method_id, 0)

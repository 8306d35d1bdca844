"""What finished methods were answered: kept, so that none runs again that is sent again.

A client sends a method again when it has not heard of it before its connection was lost,
either in the same session or in the one that follows it; then this goes from one to the other.
"""

from collections import OrderedDict

import msgspec

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
    texts: tuple[bytes, ...]
    """What was sent; empty when it was too much to keep."""
    size: int = _OVERHEAD_BYTES
    """Bytes, about."""


class Remembered:
    """Answers by the method's id, the last ones: bounded in number and in bytes."""

    __slots__ = ("_answers", "_bytes", "_lost", "_max_bytes", "_max_count", "_sessions")

    def __init__(self, *, max_count: int, max_bytes: int) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._bytes = 0  # of those
        self._lost: OrderedDict[str, Answer] = OrderedDict()  # the older ones, without texts
        self._sessions = 0

    @property
    def size(self) -> int:
        """Bytes, about; 0 when nothing is remembered."""
        return self._bytes + len(self._lost) * _OVERHEAD_BYTES

    def begin_session(self) -> int:
        """Another session of the client begins; returns its number."""
        self._sessions += 1
        return self._sessions

    def get(self, method_id: str) -> Answer | None:
        """What is known of this method, if it has ended."""
        return self._answers.get(method_id) or self._lost.get(method_id)

    def add(
        self,
        method_id: str,
        texts: tuple[bytes, bytes],
        *,
        session: int,
        connection: int,
        fingerprint: int,
    ) -> None:
        """Remember how a method ended. The oldest ones pay for it, first by their texts."""
        if method_id in self._answers or method_id in self._lost:
            self._forget(method_id)
        size = len(texts[0]) + len(texts[1]) + _OVERHEAD_BYTES
        if size > self._max_bytes:
            self._lost[method_id] = Answer(fingerprint, session, connection, ())
        else:
            self._answers[method_id] = Answer(fingerprint, session, connection, texts, size)
            self._bytes += size
        if self._bytes > self._max_bytes:
            self._forget_texts()
        if len(self._answers) + len(self._lost) > self._max_count:
            self._forget(next(iter(self._lost or self._answers)))

    def _forget_texts(self) -> None:
        while self._bytes > self._max_bytes:
            method_id, old = self._answers.popitem(last=False)
            self._bytes -= old.size
            self._lost[method_id] = Answer(old.fingerprint, old.session, old.connection, ())

    def _forget(self, method_id: str) -> None:
        self._lost.pop(method_id, None)
        old = self._answers.pop(method_id, None)
        if old is not None:
            self._bytes -= old.size

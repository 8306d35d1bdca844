"""What a client asked for and what has not begun yet, in order, and bounded in bytes."""

from collections import deque

import msgspec

from shared.rpc.ddp import messages as m

_OVERHEAD_BYTES = 200
"""What an entry takes besides its text, about."""


class Beside(msgspec.Struct, frozen=True):
    """What only ``tandem1`` says of a request."""

    blobs: list[bytes]
    deadline: float | None = None
    traceparent: str | None = None


class QueuedMethod(msgspec.Struct, frozen=True):
    """A method that waits for its turn; its parameters are not decoded yet."""

    id: str
    name: str
    params: bytes
    random_seed: str | None
    beside: Beside | None = None


class QueuedSub(msgspec.Struct, frozen=True):
    """A subscription that waits for its turn."""

    id: str
    name: str
    params: bytes
    beside: Beside | None = None


class Refusal(msgspec.Struct, frozen=True):
    """The answer to a malformed message, which waits for its turn as any other."""

    text: bytes


Entry = QueuedMethod | QueuedSub | m.Unsub | Refusal


class Queue:
    """First in, first out."""

    __slots__ = ("_bytes", "_entries", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: deque[tuple[Entry, int]] | None = None  # most sessions never need it

    def __bool__(self) -> bool:
        return bool(self._entries)

    def has_room(self, length: int) -> bool:
        """Whether a text of that length may still wait; to be asked where "busy" can be said."""
        return self._bytes + length + _OVERHEAD_BYTES <= self._max_bytes

    def put(self, entry: Entry, length: int) -> bool:
        """Let an entry wait; False when there is not even the room kept for what must wait."""
        size = length + _OVERHEAD_BYTES
        if self._bytes + size > 2 * self._max_bytes:
            return False
        if self._entries is None:
            self._entries = deque()
        self._entries.append((entry, size))
        self._bytes += size
        return True

    def pop(self) -> Entry:
        """Take out the first; there must be one."""
        if self._entries is None:
            raise IndexError("the queue is empty")
        entry, size = self._entries.popleft()
        self._bytes -= size
        return entry

    def remove_method(self, method_id: str) -> bool:
        """Take a method out of its turn; False if it does not wait."""
        for index, (entry, size) in enumerate(self._entries or ()):
            if isinstance(entry, QueuedMethod) and entry.id == method_id and self._entries:
                del self._entries[index]
                self._bytes -= size
                return True
        return False

    def clear(self) -> None:
        """Drop everything."""
        self._entries = None
        self._bytes = 0

"""What a session has to say: numbered, in order, and kept for a client that comes back.

Every text but ``ping`` and ``pong`` has a number, from 1; the client counts along. What was
sent lately is kept, so that after a drop a client that received the first N can be sent all
that follows (Meteor's resumption, since 3.5).
"""

from collections import deque

import msgspec

from shared.rpc.ddp.parcels import Parcel

_SLICE_BYTES = 262_144
"""How much is handed out at once: what is not handed out can't be lost with a connection."""


Text = bytes | Parcel


class Control(msgspec.Struct, frozen=True, gc=False):
    """A ``ping`` or ``pong``: it has no number, and means nothing to another connection."""

    text: bytes


class Outbox:
    """The door through which everything leaves that a session says."""

    __slots__ = (
        *("_age_mark", "_controls", "_kept", "_kept_bytes", "_replay_bytes", "_sent", "_unsent"),
        "waiting_bytes",
    )

    def __init__(self, replay_bytes: int) -> None:
        """``replay_bytes``: of texts that were sent, no more is kept."""
        self._replay_bytes = replay_bytes
        self._unsent: list[Text | Control] = []
        self._controls = 0  # among the unsent
        self.waiting_bytes = 0
        """How much has not been handed out yet."""
        self._kept: deque[Text] = deque()  # the last ones that were handed out
        self._kept_bytes = 0
        self._sent = 0  # the number of the last one that was handed out
        self._age_mark = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to hand out."""
        return not self._unsent

    @property
    def kept_bytes(self) -> int:
        """How much was handed out and is kept."""
        return self._kept_bytes

    @property
    def sent_count(self) -> int:
        """The number of the last text that was handed out."""
        return self._sent

    @property
    def last_number(self) -> int:
        """The number of the last text, handed out or not."""
        return self._sent + len(self._unsent) - self._controls

    def put(self, *texts: Text) -> None:
        """Have texts sent."""
        self._unsent += texts
        for text in texts:
            self.waiting_bytes += len(text)

    def put_control(self, text: bytes) -> None:
        """Have a ``ping`` or ``pong`` sent."""
        self._unsent.append(Control(text))
        self._controls += 1
        self.waiting_bytes += len(text)

    def take(self) -> list[Text]:
        """Hand out the next texts; once more, until there are none."""
        if self.waiting_bytes <= _SLICE_BYTES:
            entries, self._unsent = self._unsent, []
            self.waiting_bytes = 0
        else:
            entries = self._next_slice()
        if self._controls:
            texts = [e.text if isinstance(e, Control) else e for e in entries]
            numbered = _numbered(entries)
            self._controls -= len(entries) - len(numbered)
        else:
            texts = numbered = _numbered(entries)
        self._keep(numbered)
        return texts

    def sent(self, text: Text) -> int:
        """A text goes its own way, now and before all that waits; returns its number."""
        self._keep([text])
        return self._sent

    def acknowledge(self, number: int) -> None:
        """The client has received everything up to this number."""
        first = self._sent - len(self._kept) + 1
        for _ in range(min(number - first + 1, len(self._kept))):
            self._drop_oldest()

    def grow_older(self) -> None:
        """Forget what was handed out before the last time that this was called."""
        self.acknowledge(self._age_mark)
        self._age_mark = self._sent

    def disconnected(self) -> None:
        """Drop what means nothing to another connection."""
        self._wait_with(_numbered(self._unsent))

    def make_room(self, limit: int) -> bool:
        """Keep no more than ``limit`` bytes, unsent ones included; False if that can't be."""
        while self._kept and self._kept_bytes + self.waiting_bytes > limit:
            self._drop_oldest()
        return self.waiting_bytes <= limit

    def rewind(self, received: int, welcome: bytes) -> bool:
        """Go back to where a client is, and say ``welcome`` first; False if that can't be.

        A welcome that the client did not get is not said twice.
        """
        missing = self._sent - received
        if not 0 <= missing <= len(self._kept):
            return False
        tail = list(self._kept)[len(self._kept) - missing :]
        missed = [text for text in (*tail, *_numbered(self._unsent)) if text != welcome]
        self._wait_with([welcome, *missed])
        self._kept.clear()
        self._kept_bytes = 0
        self._sent = self._age_mark = received
        return True

    def _wait_with(self, texts: list[Text]) -> None:
        self._unsent = [*texts]
        self._controls = 0
        self.waiting_bytes = sum(map(len, texts))

    def _next_slice(self) -> list[Text | Control]:
        size = count = 0
        while size < _SLICE_BYTES and count < len(self._unsent):
            entry = self._unsent[count]
            size += len(entry.text if isinstance(entry, Control) else entry)
            count += 1
        entries = self._unsent[:count]
        del self._unsent[:count]
        self.waiting_bytes -= size
        return entries

    def _keep(self, texts: list[Text]) -> None:
        self._sent += len(texts)
        self._kept += texts
        self._kept_bytes += sum(map(len, texts))
        while self._kept_bytes > self._replay_bytes:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._kept_bytes -= len(self._kept.popleft())


def _numbered(entries: list[Text | Control]) -> list[Text]:
    return [entry for entry in entries if not isinstance(entry, Control)]

"""Takes in the bytes that arrive beside texts, and grants credit for more of them.

A blob is announced, filled by its chunks and, once whole, claimed by the text that refers
to it. It counts towards the limits from its announcement until it is released: when the
text's method has been answered, say. One that is over a limit is refused: the sender is
told, and what still arrives of it is dropped. So memory is bounded by
``BlobLimits.max_held_bytes``, whatever arrives.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Final

import msgspec

from shared.rpc.ddp.frames import (
    Abort,
    Binary,
    Blob,
    Chunk,
    Credit,
    FrameError,
    Refuse,
    encode,
)

_GRANT_BYTES: Final = 65_536
"""How many bytes are taken in before credit for them is granted, in one short message."""
_OVERHEAD_BYTES: Final = 256
"""What a blob costs besides its bytes; it is counted, so that empty ones have an end too."""


class BlobLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one end of a session takes in."""

    max_blob_bytes: int = 128_000_000
    """A larger blob is refused."""
    max_held_bytes: int = 256_000_000
    """And so is one with which all those of a session that are not done with would pass this."""


class BlobRefused(Exception):
    """A text refers to a blob that was over a limit."""


class BlobReceiver:
    """The blobs that one end of a session receives, over any number of connections."""

    def __init__(self, limits: BlobLimits) -> None:
        self.held_bytes = 0
        """What counts towards the limit at the moment."""
        self.has_frames_to_send = False
        """Whether :meth:`frames_to_send` would return any."""
        self._limits = limits
        self._blobs: dict[int, _Incoming] = {}
        self._refused: set[int] = set()  # those that the sender is to be told of
        self._ungranted = 0

    def receive(self, frame: Blob | Chunk | Abort) -> None:
        """Take in one frame.

        Raises:
            FrameError: it is out of place; the connection is of no more use.
        """
        match frame:
            case Chunk():
                self._ungranted += len(frame.data)
                self._find(frame.id).write(frame.data)
            case Blob():
                self._announced(frame)
            case Abort():
                self._find(frame.id)
                self._forget(frame.id)
        self.has_frames_to_send = bool(self._refused) or self._ungranted >= _GRANT_BYTES

    def claim(self, ids: Sequence[int]) -> list[bytes]:
        """Take out the blobs of a text. They count until :meth:`release`.

        Raises:
            FrameError: one of them is not there, or not whole.
            BlobRefused: one of them was over a limit; the others are dropped too.
        """
        claimed = {blob_id: self._find(blob_id) for blob_id in ids}
        if len(claimed) < len(ids):
            raise FrameError("a text has a blob twice")
        if any(blob.is_refused for blob in claimed.values()):
            for blob_id in claimed:
                self._forget(blob_id)
            raise BlobRefused
        contents = [blob.content() for blob in claimed.values()]
        for blob_id in claimed:
            del self._blobs[blob_id]
        return contents

    def release(self, cost: int) -> None:
        """Claimed blobs of this :func:`cost` are done with."""
        self.held_bytes -= cost

    def frames_to_send(self) -> list[Binary]:
        """Take out what the sender must be told."""
        out = [encode(Refuse(blob_id)) for blob_id in self._refused]
        self._refused.clear()
        if self._ungranted >= _GRANT_BYTES:
            out.append(encode(Credit(self._ungranted)))
            self._ungranted = 0
        self.has_frames_to_send = False
        return out

    def connection_made(self) -> None:
        """A new connection, on which the sender sends anew what was not claimed."""
        self.held_bytes -= sum(blob.cost for blob in self._blobs.values())
        self._blobs.clear()
        self._refused.clear()
        self._ungranted = 0
        self.has_frames_to_send = False

    def _announced(self, frame: Blob) -> None:
        if frame.id in self._blobs:
            raise FrameError(f"blob {frame.id} is announced twice")
        blob = _Incoming(frame.id, frame.size)
        limits = self._limits
        room = limits.max_held_bytes - self.held_bytes
        if frame.size > limits.max_blob_bytes or blob.cost > room:
            blob.refuse()
            self._refused.add(frame.id)
        if blob.cost > room:
            raise FrameError("too many blobs at once")
        self.held_bytes += blob.cost
        self._blobs[frame.id] = blob

    def _forget(self, blob_id: int) -> None:
        self.held_bytes -= self._blobs.pop(blob_id).cost
        self._refused.discard(blob_id)

    def _find(self, blob_id: int) -> "_Incoming":
        if (blob := self._blobs.get(blob_id)) is None:
            raise FrameError(f"blob {blob_id} is not there")
        return blob


class _Incoming:
    """A blob of which some has arrived, or all."""

    def __init__(self, blob_id: int, size: int) -> None:
        self.is_refused = False
        self._id = blob_id
        self._missing = size
        self.cost = size + _OVERHEAD_BYTES
        # Grows with what arrives, not with what is announced. getvalue() does not copy:
        # it hands out the buffer itself.
        self._buffer = BytesIO()

    def refuse(self) -> None:
        self.is_refused = True
        self.cost = _OVERHEAD_BYTES

    def write(self, data: memoryview) -> None:
        if len(data) > self._missing:
            raise FrameError(f"blob {self._id} is longer than announced")
        self._missing -= len(data)
        if not self.is_refused:
            self._buffer.write(data)

    def content(self) -> bytes:
        if self._missing:
            raise FrameError(f"blob {self._id} is not whole")
        return self._buffer.getvalue()


def cost(blobs: Sequence[bytes]) -> int:
    """What claimed blobs count."""
    return sum(map(len, blobs)) + _OVERHEAD_BYTES * len(blobs)

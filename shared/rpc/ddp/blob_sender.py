"""Sends bytes beside the texts that refer to them: in turn, in chunks, within a credit.

Parcels whose bytes are large take turns, a chunk each; the text of one follows its last
chunk, so texts without bytes overtake it.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from shared.rpc.ddp.frames import (
    MAX_CHUNK_BYTES,
    Abort,
    Binary,
    Blob,
    Chunk,
    Outgoing,
    encode,
)
from shared.rpc.ddp.parcels import Parcel

WINDOW_BYTES: Final = 1_048_576
"""The credit that both ends of a new connection begin with."""
_LAST_ID = 0xFFFF_FFFF


class BlobSender:
    """The blobs that one end of a session sends, over any number of connections."""

    def __init__(
        self, *, chunk_bytes: int = MAX_CHUNK_BYTES, under_way_bytes: int = WINDOW_BYTES
    ) -> None:
        """What goes in turns is sent in chunks of ``chunk_bytes``.

        ``under_way_bytes``: no more than about so much, that the other end has not said to
        have taken in. A short message waits behind it at most.
        """
        self._chunk_bytes = chunk_bytes
        self._under_way_bytes = under_way_bytes
        self.waiting_bytes = 0
        """The bytes of all parcels that are not sent yet."""
        self._credit = WINDOW_BYTES
        self._under_way = 0
        self._last_id = 0
        self._parcels: deque[_Progress] = deque()
        self._aborts: list[int] = []

    def number(self, count: int) -> list[int]:
        """Ids for so many new blobs."""
        ids = []
        for _ in range(count):
            self._last_id = self._last_id % _LAST_ID + 1
            ids.append(self._last_id)
        return ids

    def at_once(self, parcel: Parcel) -> Iterator[Outgoing]:
        """All frames of a parcel and its text, whatever the credit.

        For small ones, and for those whose place among other texts matters.
        """
        self._sent(parcel.size)
        return _frames_of(parcel)

    def enqueue(self, parcel: Parcel) -> None:
        """Have a parcel take its turns."""
        self.waiting_bytes += parcel.size
        self._parcels.append(_Progress(parcel))

    def give_up(self, parcel: Parcel) -> bool:
        """Do not send it after all; False if all of it has been sent."""
        found = next((p for p in self._parcels if p.parcel is parcel), None)
        if found is None:
            return False
        self._parcels.remove(found)
        self.waiting_bytes -= parcel.size
        self._aborts += found.announced
        return True

    def refused(self, blob_id: int) -> Parcel | None:
        """The other end does not want that blob: gives up its parcel, and returns it.

        None when it has all been sent; then the other end answers the text itself.
        """
        found = next((p.parcel for p in self._parcels if blob_id in p.announced), None)
        if found is not None:
            self.give_up(found)
        return found

    def granted(self, count: int) -> None:
        """The other end allows so many bytes more."""
        self._credit += count
        self._under_way = max(0, self._under_way - count)

    @property
    def has_frames_to_send(self) -> bool:
        """Whether :meth:`frames_to_send` would return any."""
        return bool(self._aborts) or (bool(self._parcels) and self._has_room)

    @property
    def _has_room(self) -> bool:
        return self._credit > 0 and self._under_way < self._under_way_bytes

    def _sent(self, count: int) -> None:
        self._credit -= count
        self._under_way += count

    def frames_to_send(self, max_bytes: int) -> list[Binary | Parcel]:
        """Take out the next frames, with about so many bytes of blobs, as far as credit goes.

        A parcel in the list stands for its text: the place where that is to be sent.
        """
        out: list[Binary | Parcel] = [encode(Abort(blob_id)) for blob_id in self._aborts]
        self._aborts.clear()
        while self._parcels and self._has_room and max_bytes > 0:
            turn = self._parcels.popleft()
            frames, sent = turn.next_frames(self._chunk_bytes)
            out += frames
            max_bytes -= sent
            self._sent(sent)
            if turn.is_done:
                self.waiting_bytes -= turn.parcel.size
                out.append(turn.parcel)
            else:
                self._parcels.append(turn)
        return out

    def connection_made(self) -> None:
        """A new connection, whose other end has nothing of what is not sent whole."""
        self._credit = WINDOW_BYTES
        self._under_way = 0
        self._aborts.clear()
        self._parcels = deque(_Progress(turn.parcel) for turn in self._parcels)


def _frames_of(parcel: Parcel) -> Iterator[Outgoing]:
    for blob_id, content in zip(parcel.ids, parcel.blobs, strict=True):
        yield encode(Blob(blob_id, len(content)))
        view = memoryview(content)
        for start in range(0, len(content), MAX_CHUNK_BYTES):
            yield encode(Chunk(blob_id, view[start : start + MAX_CHUNK_BYTES]))
    yield parcel.text


class _Progress:
    """How far a parcel has been sent: so many whole blobs, and so much of the next one."""

    def __init__(self, parcel: Parcel) -> None:
        self.parcel = parcel
        self._whole = 0
        self._offset = 0

    @property
    def announced(self) -> list[int]:
        return self.parcel.ids[: self._whole + (self._offset > 0)]

    @property
    def is_done(self) -> bool:
        return self._whole == len(self.parcel.ids)

    def next_frames(self, chunk_bytes: int) -> tuple[list[Binary], int]:
        """The next chunk, after the announcement if it is the first; and its size."""
        blob_id, content = self.parcel.ids[self._whole], self.parcel.blobs[self._whole]
        frames = [] if self._offset else [encode(Blob(blob_id, len(content)))]
        chunk = memoryview(content)[self._offset : self._offset + chunk_bytes]
        if chunk:
            frames.append(encode(Chunk(blob_id, chunk)))
        self._offset += len(chunk)
        if self._offset == len(content):
            self._whole += 1
            self._offset = 0
        return frames, len(chunk)

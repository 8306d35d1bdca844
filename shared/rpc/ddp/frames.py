"""The binary messages of ``tandem1``: bytes in chunks, and the credit to send them.

Each is one kind byte and big-endian fields; ``docs/reference/protocol.md`` has the layouts,
and test vectors.
"""

import struct
from enum import IntEnum
from typing import Final

from msgspec import Struct

MAX_CHUNK_BYTES: Final = 65_536
"""What one ``CHUNK`` carries at most: how long a short message waits behind it."""


class Kind(IntEnum):
    """The first byte."""

    BLOB = 1
    CHUNK = 2
    CREDIT = 3
    ABORT = 4
    REFUSE = 5


class Blob(Struct, frozen=True):
    """Sender: so many bytes will come under this id."""

    id: int
    size: int


class Chunk(Struct, frozen=True):
    """Sender: the next bytes of a blob."""

    id: int
    data: memoryview


class Credit(Struct, frozen=True):
    """Receiver: send so many bytes more."""

    count: int


class Abort(Struct, frozen=True):
    """Sender: the blob is given up, and so is the message that was to have it."""

    id: int


class Refuse(Struct, frozen=True):
    """Receiver: this blob is not wanted."""

    id: int


Frame = Blob | Chunk | Credit | Abort | Refuse


class Binary(Struct, frozen=True):
    """A message to be sent as a binary one; plain ``bytes`` are the UTF-8 of a text."""

    data: bytes

    def __len__(self) -> int:
        return len(self.data)


Outgoing = bytes | Binary


class FrameError(ValueError):
    """A binary message is malformed, or out of place: the ends no longer agree."""


_BLOB = struct.Struct(">BIQ")
_WITH_U32 = struct.Struct(">BI")


def encode(frame: Frame) -> Binary:
    """The bytes of a frame. Those of a chunk are copied, once."""
    match frame:
        case Blob():
            return Binary(_BLOB.pack(Kind.BLOB, frame.id, frame.size))
        case Chunk():
            return Binary(b"".join((_WITH_U32.pack(Kind.CHUNK, frame.id), frame.data)))
        case Credit():
            return Binary(_WITH_U32.pack(Kind.CREDIT, frame.count))
        case Abort():
            return Binary(_WITH_U32.pack(Kind.ABORT, frame.id))
        case Refuse():
            return Binary(_WITH_U32.pack(Kind.REFUSE, frame.id))


def decode(data: bytes) -> Frame:
    """Read a binary message; a chunk's bytes are not copied.

    Raises:
        FrameError: it is none of the above.
    """
    kind = data[0] if data else 0
    try:
        if kind == Kind.CHUNK:
            _, blob_id = _WITH_U32.unpack_from(data)
            return _chunk(blob_id, memoryview(data)[_WITH_U32.size :])
        if kind == Kind.BLOB:
            _, blob_id, size = _BLOB.unpack(data)
            return Blob(blob_id, size)
        _, number = _WITH_U32.unpack(data)
    except struct.error:
        raise FrameError(f"kind {kind} has no binary message of {len(data)} bytes") from None
    match kind:
        case Kind.CREDIT:
            return Credit(number)
        case Kind.ABORT:
            return Abort(number)
        case Kind.REFUSE:
            return Refuse(number)
        case _:
            raise FrameError(f"unknown kind {kind} of binary message")


def _chunk(blob_id: int, data: memoryview) -> Chunk:
    if not 0 < len(data) <= MAX_CHUNK_BYTES:
        raise FrameError(f"a chunk of {len(data)} bytes")
    return Chunk(blob_id, data)

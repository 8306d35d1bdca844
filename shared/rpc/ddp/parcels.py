"""Texts with bytes beside them: as they are written, and as they are sent.

The ids of blobs are the last thing that a text is given, when it is about to be sent: so one
that is sent twice can have ids of its own each time.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from shared.rpc.ddp.frames import MAX_CHUNK_BYTES

_IDS_AT_THE_END: Final = b',"blobs":%b}'


class Letter(msgspec.Struct, frozen=True, eq=False):
    """A text, and the bytes that it refers to by their positions."""

    text: bytes
    """Without the ids."""
    blobs: Sequence[bytes]
    may_wait: bool = False
    """Whether other texts may overtake it while its bytes are on their way."""

    def __len__(self) -> int:
        return len(self.text) + _total(self.blobs)

    def numbered(self, ids: list[int]) -> "Parcel":
        """The same with ids, one for each blob."""
        text = self.text[:-1] + _IDS_AT_THE_END % msgspec.json.encode(ids)
        in_turns = self.may_wait and _total(self.blobs) > MAX_CHUNK_BYTES
        return Parcel(text, ids, self.blobs, in_turns=in_turns)


class Parcel(msgspec.Struct, frozen=True, eq=False):
    """A text, and the bytes that it refers to by their ids."""

    text: bytes
    ids: list[int]
    blobs: Sequence[bytes]
    in_turns: bool = False
    """Whether its blobs go chunk by chunk, as others of the kind and the credit allow."""

    def __len__(self) -> int:
        """What it counts among texts; blobs that go in turns are counted by their sender."""
        return len(self.text) + (0 if self.in_turns else self.size)

    @property
    def size(self) -> int:
        """How many bytes its blobs have together."""
        return _total(self.blobs)


Written = bytes | Letter
"""What a message has become once it is encoded."""


def written(text: bytes, blobs: Sequence[bytes] | None, *, may_wait: bool = False) -> Written:
    """An encoded message, with the bytes that were found in it, if any."""
    return Letter(text, blobs, may_wait) if blobs else text


def _total(blobs: Sequence[bytes]) -> int:
    return sum(map(len, blobs))

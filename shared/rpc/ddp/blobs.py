"""Both directions of bytes at one end of a ``tandem1`` session."""

from shared.rpc.ddp.blob_receiver import BlobLimits, BlobReceiver
from shared.rpc.ddp.blob_sender import BlobSender
from shared.rpc.ddp.frames import Binary, Credit, Refuse, decode
from shared.rpc.ddp.parcels import Parcel

_CHUNK_BYTES = 16_384
"""Measured: with 65,536, one in a hundred short calls waits two to three times as long."""
_UNDER_WAY_BYTES = 131_072
"""The least that the protocol allows. Measured: with 1 MiB, every short call waits 3 ms."""


class Blobs:
    """What is sent and received beside the texts, over any number of connections in a row.

    Feed it binary messages with :meth:`receive`, send :meth:`frames_to_send`, and call
    :meth:`connection_made` when a session goes on over another connection.
    """

    def __init__(self, limits: BlobLimits) -> None:
        self.sender = BlobSender(chunk_bytes=_CHUNK_BYTES, under_way_bytes=_UNDER_WAY_BYTES)
        self.receiver = BlobReceiver(limits)

    def receive(self, data: bytes) -> Parcel | None:
        """Take in a binary message; returns the parcel that the other end refuses by it.

        Raises:
            FrameError: it is malformed or out of place; the connection is of no more use.
        """
        match decode(data):
            case Credit() as credit:
                self.sender.granted(credit.count)
            case Refuse() as refuse:
                return self.sender.refused(refuse.id)
            case frame:
                self.receiver.receive(frame)
        return None

    @property
    def has_frames_to_send(self) -> bool:
        """Whether :meth:`frames_to_send` would return any."""
        return self.receiver.has_frames_to_send or self.sender.has_frames_to_send

    def frames_to_send(self, max_bytes: int) -> list[Binary | Parcel]:
        """Take out frames with about so many bytes of blobs, as far as the credit goes.

        A parcel in the list stands for its text: the place where that is to be sent.
        """
        return [*self.receiver.frames_to_send(), *self.sender.frames_to_send(max_bytes)]

    def connection_made(self) -> None:
        """Over a new connection, what was not sent whole is sent anew from its start."""
        self.sender.connection_made()
        self.receiver.connection_made()

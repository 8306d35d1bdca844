"""The messages of ``tandem1``: those of version 1 with more fields, and two more.

The fields of their own come last, so that a message without any has version 1's bytes.
``blobs`` are the ids of the blobs to which ``{"$blob": index}`` in it refers.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from shared.rpc.ddp import messages as m

VERSION: Final = "tandem1"
VERSIONS: Final = (VERSION, *m.VERSIONS)
"""What our services speak to one another, best first."""

BlobId = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
BlobIds = list[BlobId] | UnsetType


class Method(m.Method, frozen=True, tag="method", tag_field="msg"):
    """Client: call a method."""

    deadline_ms: Annotated[int, Meta(ge=0)] | UnsetType = msgspec.field(
        name="deadlineMs", default=UNSET
    )
    """How long the caller will wait from now."""
    traceparent: str | UnsetType = UNSET
    """Of W3C's Trace Context: what the call is a part of."""
    blobs: BlobIds = UNSET


class Sub(m.Sub, frozen=True, tag="sub", tag_field="msg"):
    """Client: subscribe to a publication."""

    blobs: BlobIds = UNSET


class Cancel(Struct, frozen=True, tag="cancel", tag_field="msg"):
    """Client: nobody waits for this method any more; it is answered with ``cancelled``."""

    id: str


class Result(m.Result, frozen=True, tag="result", tag_field="msg"):
    """Server: what a method returned, or why it did not."""

    blobs: BlobIds = UNSET


class Added(m.Added, frozen=True, tag="added", tag_field="msg"):
    """Server: a document came into view."""

    blobs: BlobIds = UNSET


class Changed(m.Changed, frozen=True, tag="changed", tag_field="msg"):
    """Server: fields of a document got new values, or are gone."""

    blobs: BlobIds = UNSET


class Progress(Struct, frozen=True, tag="progress", tag_field="msg"):
    """Server: how far a running method is: ``done`` of ``total``, and what it is at."""

    id: str
    done: float
    total: float | None
    note: str


ClientMessage = m.Connect | m.Ping | m.Pong | Sub | m.Unsub | Method | m.Disconnect | Cancel
ServerMessage = (
    m.Connected
    | m.Failed
    | m.Ping
    | m.Pong
    | m.NoSub
    | m.Ready
    | Added
    | Changed
    | m.Removed
    | m.AddedBefore
    | m.MovedBefore
    | Result
    | m.Updated
    | m.Error
    | Progress
)

_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)


def decode_from_client(text: str | bytes) -> ClientMessage:
    """Read what a client sent.

    Raises:
        Unreadable: it is no message, or one with ill-typed fields.
    """
    return m.read(_client_decoder, text)


def decode_from_server(text: str | bytes) -> ServerMessage:
    """Read what a server sent.

    Raises:
        Unreadable: it is no message that we know, or one with ill-typed fields.
    """
    return m.read(_server_decoder, text)

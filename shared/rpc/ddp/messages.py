"""The messages of DDP version 1: one frozen class each, tagged by ``msg``.

The order of the fields is the order of the keys on the wire, as Meteor writes them.
``params``, ``result`` and ``fields`` are EJSON and stay raw here; what is missing on the
wire is ``UNSET``. Fields that a message does not have are ignored, as DDP demands.
"""

import contextlib
import json
from typing import Any, Final, TypeVar

import msgspec
import orjson
from msgspec import UNSET, Raw, Struct, UnsetType

from shared.rpc import ejson
from shared.rpc.errors import EjsonError, MethodError

VERSIONS: Final = ("1", "pre2", "pre1")
"""What we speak, best first. ``pre1`` has no ping."""


class Connect(Struct, frozen=True, tag="connect", tag_field="msg"):
    """Client: the first message. Its types are checked by the session, which answers."""

    session: Any = UNSET
    received_count: Any = msgspec.field(name="receivedCount", default=UNSET)
    version: Any = UNSET
    support: Any = UNSET


class Connected(Struct, frozen=True, tag="connected", tag_field="msg"):
    """Server: welcome."""

    session: str


class Failed(Struct, frozen=True, tag="failed", tag_field="msg"):
    """Server: not with that version; try this one."""

    version: str


class Ping(Struct, frozen=True, tag="ping", tag_field="msg"):
    """Both: say that you are there."""

    id: Any = UNSET


class Pong(Struct, frozen=True, tag="pong", tag_field="msg"):
    """Both: I am there; with the ping's id."""

    id: Any = UNSET


class Sub(Struct, frozen=True, tag="sub", tag_field="msg"):
    """Client: subscribe to a publication."""

    id: str
    name: str
    params: Raw | UnsetType = UNSET


class Unsub(Struct, frozen=True, tag="unsub", tag_field="msg"):
    """Client: that subscription is no longer wanted."""

    id: str


class NoSub(Struct, frozen=True, tag="nosub", tag_field="msg"):
    """Server: that subscription ended; with an error unless all is well."""

    id: str
    error: Raw | UnsetType = UNSET


class Ready(Struct, frozen=True, tag="ready", tag_field="msg"):
    """Server: the first batch of these subscriptions is complete."""

    subs: list[str]


class Added(Struct, frozen=True, tag="added", tag_field="msg"):
    """Server: a document came into view."""

    collection: str
    id: str
    fields: Raw | UnsetType = UNSET


class Changed(Struct, frozen=True, tag="changed", tag_field="msg"):
    """Server: fields of a document got new values, or are gone."""

    collection: str
    id: str
    fields: Raw | UnsetType = UNSET
    cleared: list[str] | UnsetType = UNSET


class Removed(Struct, frozen=True, tag="removed", tag_field="msg"):
    """Server: a document left the view."""

    collection: str
    id: str


class AddedBefore(Struct, frozen=True, tag="addedBefore", tag_field="msg"):
    """Server: as ``added``, in an ordered collection. Meteor never sends it."""

    collection: str
    id: str
    fields: Raw | UnsetType = UNSET
    before: str | None = None


class MovedBefore(Struct, frozen=True, tag="movedBefore", tag_field="msg"):
    """Server: a document of an ordered collection has a new place. Never sent either."""

    collection: str
    id: str
    before: str | None = None


class Method(Struct, frozen=True, tag="method", tag_field="msg"):
    """Client: call a method."""

    id: str
    method: str
    params: Raw | UnsetType = UNSET
    random_seed: str | UnsetType = msgspec.field(name="randomSeed", default=UNSET)


class Result(Struct, frozen=True, tag="result", tag_field="msg"):
    """Server: what a method returned (neither field: ``undefined``) or why it did not."""

    id: str
    error: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET


class Updated(Struct, frozen=True, tag="updated", tag_field="msg"):
    """Server: every change that these methods made to documents has been sent."""

    methods: list[str]


class Error(Struct, frozen=True, tag="error", tag_field="msg"):
    """Server: that message makes no sense; the connection lives on."""

    reason: str
    offending_message: Raw | UnsetType = msgspec.field(name="offendingMessage", default=UNSET)


class Disconnect(Struct, frozen=True, tag="disconnect", tag_field="msg"):
    """Client, since Meteor 3.5: I am leaving for good."""


ClientMessage = Connect | Ping | Pong | Sub | Unsub | Method | Disconnect
ServerMessage = (
    Connected
    | Failed
    | Ping
    | Pong
    | NoSub
    | Ready
    | Added
    | Changed
    | Removed
    | AddedBefore
    | MovedBefore
    | Result
    | Updated
    | Error
)

Message = TypeVar("Message")

_encoder = msgspec.json.Encoder()
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)

EMPTY_PARAMS: Final = b"[]"


_REPAIRED_BYTES = 100_000
_EJSON = ejson.Ejson()
_EJSON_FIELDS = frozenset({"fields", "params", "result"})


class Unreadable(ValueError):
    """A text is not one of the messages that may come from that side."""


def encode(message: Struct) -> bytes:
    """The text of a message, in UTF-8."""
    return _encoder.encode(message)


def decode_from_client(text: str | bytes) -> ClientMessage:
    """Read what a client sent.

    Raises:
        Unreadable: it is no message, or one with ill-typed fields.
    """
    return read(_client_decoder, text)


def decode_from_server(text: str | bytes) -> ServerMessage:
    """Read what a server sent.

    Raises:
        Unreadable: it is no message that we know, or one with ill-typed fields.
    """
    return read(_server_decoder, text)


def read(decoder: msgspec.json.Decoder[Message], text: str | bytes) -> Message:
    """Read one message of a set.

    Raises:
        Unreadable: it is none of them, or one with ill-typed fields.
    """
    try:
        return decoder.decode(text)
    except (ValueError, RecursionError) as error:
        repaired = _without_lone_surrogates(text)
        if repaired is None:
            raise Unreadable(str(error)) from error
        return read(decoder, repaired)


def _without_lone_surrogates(text: str | bytes) -> bytes | None:
    """The same with U+FFFD for each half of a character; None if it has none, or is long.

    JavaScript's texts may hold such halves, of an emoji that was cut in two for instance, and
    so does its JSON; what reads them here is slow.
    """
    if len(text) > _REPAIRED_BYTES:
        return None
    try:
        value = json.loads(text)
        plain = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    whole = plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return None if whole == plain else whole.encode()


def encode_error(error: MethodError) -> Raw:
    """The error object inside ``result`` and ``nosub``, byte for byte as Meteor's."""
    parts = [b'{"isClientSafe":true,"error":', ejson.dumps_plain(error.error)]
    if error.reason:
        parts += [b',"reason":', ejson.dumps_plain(error.reason)]
    if error.details is not None:
        parts += [b',"details":', ejson.dumps_plain(error.details)]
    parts += [b',"message":', ejson.dumps_plain(str(error)), b',"errorType":"Meteor.Error"}']
    return Raw(b"".join(parts))


def decode_error(raw: Raw) -> MethodError:
    """Read an error object as leniently as old servers need it."""
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        value = "nested too deeply"
    if not isinstance(value, dict):
        return MethodError(str(value))
    error = value.get("error", 500)
    reason = value.get("reason")
    return MethodError(
        error if isinstance(error, (str, int, float)) else str(error),
        reason if isinstance(reason, str) else "",
        value.get("details"),
    )


def offending(text: str | bytes) -> tuple[Any, Raw] | None:
    """Read a text that is no message, to send it back: its value, and as compact JSON.

    None when it is not even a JSON object or array. Long ones are cut off at the entrance
    of the service, not here.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, (dict, list)):
        return None
    return value, Raw(ejson.dumps_plain(_decoded(value)))


def _decoded(value: Any) -> Any:
    """As Meteor has it in memory: dates in these fields go back as ISO texts."""
    if not isinstance(value, dict):
        return value
    read = dict(value)
    for name in _EJSON_FIELDS & value.keys():
        with contextlib.suppress(EjsonError):
            read[name] = _EJSON.decode(value[name])
    return read

"""What a client puts on the wire, and takes from it, in the version that was agreed on.

Calls and subscriptions are written once, with their bytes beside them if the client offers
``tandem1``. Where the server speaks only version 1, their bytes are put into the text after all.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from shared.rpc.ddp import messages as m
from shared.rpc.ddp import tandem as t
from shared.rpc.ddp.blob_receiver import BlobLimits, cost
from shared.rpc.ddp.blobs import Blobs
from shared.rpc.ddp.frames import Outgoing
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ddp.outstanding import Call
from shared.rpc.ddp.parcels import Letter, Parcel, Written, written
from shared.rpc.ejson import Ejson

_BULK_BYTES = 16_384
"""How much is handed out at once of bytes that go in turns."""


class ClientSessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a session treats its server."""

    heartbeat: HeartbeatConfig = HeartbeatConfig(interval=17.5, timeout=15.0)
    connect_timeout: float = 10.0
    """Seconds that the server may take to answer ``connect``."""
    versions: tuple[str, ...] = m.VERSIONS
    """The versions to offer, best first; that one is proposed first."""
    max_queued: int = 10_000
    """Calls that may wait to be sent; one more fails at once."""
    blobs: BlobLimits = BlobLimits()
    """What a ``tandem1`` session takes in."""


class ClientWire:
    """The way to the server and back, over any number of connections in a row."""

    def __init__(self, ejson: Ejson, config: ClientSessionConfig) -> None:
        self._ejson = ejson
        self._limits = config.blobs
        self._offers_blobs = t.VERSION in config.versions
        self._blobs: Blobs | None = None  # None in version 1
        self._outgoing: list[Outgoing] = []
        self._is_open = False  # since the server's welcome
        self._waiting: dict[Parcel, Call] = {}  # that are sent in turns, and not whole yet
        self._cancelled: set[str] = set()  # and not answered

    # What the connection does

    def connection_made(self, greeting: m.Connect) -> None:
        """A connection is open: nothing is sent but this until :meth:`agreed`."""
        self._outgoing = [m.encode(greeting)]

    def connection_lost(self) -> None:
        """Nothing can be sent."""
        self._is_open = False
        self._outgoing = []

    def leave(self) -> None:
        """Tell the server that we leave for good, and nothing after that."""
        self._is_open = False
        self.put(m.encode(m.Disconnect()))

    def agreed(self, version: str, *, is_resumed: bool) -> None:
        """The server welcomes us."""
        self._is_open = True
        if is_resumed:
            if self._blobs is not None:
                self._blobs.connection_made()
            for method_id in self._cancelled:
                self.put(m.encode(t.Cancel(method_id)))
            return
        self._blobs = Blobs(self._limits) if version == t.VERSION else None
        self._waiting.clear()
        self._cancelled.clear()

    @property
    def has_texts_to_send(self) -> bool:
        if self._outgoing:
            return True
        blobs = self._blobs
        return blobs is not None and self._is_open and blobs.receiver.has_frames_to_send

    @property
    def bytes_to_send(self) -> int:
        return sum(map(len, self._outgoing))

    def texts_to_send(self) -> list[Outgoing]:
        out, self._outgoing = self._outgoing, []
        blobs = self._blobs
        if blobs is not None and self._is_open and blobs.receiver.has_frames_to_send:
            out += blobs.receiver.frames_to_send()
        return out

    @property
    def has_bulk_to_send(self) -> bool:
        blobs = self._blobs
        return blobs is not None and self._is_open and blobs.sender.has_frames_to_send

    def bulk_to_send(self) -> Sequence[Outgoing]:
        out: list[Outgoing] = []
        if self._blobs is None or not self._is_open:
            return out
        for item in self._blobs.sender.frames_to_send(_BULK_BYTES):
            if isinstance(item, Parcel):
                self._waiting.pop(item).may_have_run = True
                out.append(item.text)
            else:
                out.append(item)
        return out

    # Writing

    def method(self, method_id: str, name: str, params: Sequence[Any]) -> Written:
        """The message that calls a method.

        Raises:
            EjsonError: the parameters can't be written.
        """
        blobs: list[bytes] | None = [] if self._offers_blobs else None
        raw = Raw(self._ejson.dumps(params, blobs))
        return written(m.encode(m.Method(method_id, name, raw)), blobs, may_wait=True)

    def sub(self, subscription_id: str, name: str, params: Sequence[Any]) -> Written:
        """The message that subscribes.

        Raises:
            EjsonError: the parameters can't be written.
        """
        blobs: list[bytes] | None = [] if self._offers_blobs else None
        raw = Raw(self._ejson.dumps(params, blobs))
        return written(m.encode(m.Sub(subscription_id, name, raw)), blobs)

    def put(self, *texts: Written) -> None:
        """Have texts sent."""
        for text in texts:
            if not isinstance(text, Letter):
                self._outgoing.append(text)
            elif self._blobs is None:
                self._outgoing.append(self._in_version_1(text))
            else:
                sender = self._blobs.sender
                self._outgoing += sender.at_once(text.numbered(sender.number(len(text.blobs))))

    def post(self, call: Call) -> None:
        """Have a call sent; with many bytes, when these have gone."""
        if self._blobs is None:
            self.put(call.text)
        elif isinstance(call.text, Letter):
            letter = Letter(_with(call.text.text, call.extra), call.text.blobs, may_wait=True)
            call.parcel = letter.numbered(self._blobs.sender.number(len(letter.blobs)))
            self._send(call, call.parcel, self._blobs)
        else:
            self._outgoing.append(_with(call.text, call.extra))

    def post_again(self, calls: Iterable[Call]) -> None:
        """Have calls sent once more in the same session."""
        for call in calls:
            if self._blobs is not None and call.parcel is not None:
                self._send(call, call.parcel, self._blobs)
            else:
                self.post(call)

    def give_up(self, call: Call) -> None:
        """Nobody waits for this call: cancel it, as far as the version has words for it."""
        if self._blobs is None:
            return
        if call.parcel is not None and self._waiting.pop(call.parcel, None) is not None:
            self._blobs.sender.give_up(call.parcel)
        elif call.may_have_run:
            self._cancelled.add(call.id)
            if self._is_open:
                self.put(m.encode(t.Cancel(call.id)))

    # Reading

    def read(self, text: str) -> m.ServerMessage | t.Progress:
        """Read what the server sent.

        Raises:
            Unreadable: it is no message that we know, or one with ill-typed fields.
        """
        return m.decode_from_server(text) if self._blobs is None else t.decode_from_server(text)

    def receive(self, data: bytes) -> Call | None:
        """Take in a binary message; returns the call that the server refuses by it.

        Raises:
            FrameError: it is malformed or out of place.
        """
        refused = None if self._blobs is None else self._blobs.receive(data)
        return None if refused is None else self._waiting.pop(refused, None)

    def claim(self, message: m.ServerMessage | t.Progress) -> list[bytes] | None:
        """The bytes beside a message; None where there are none by the version.

        Raises:
            FrameError: they are not there.
            BlobRefused: they were too many.
        """
        if self._blobs is None:
            return None
        if isinstance(message, t.Result):
            self._cancelled.discard(message.id)
        if not isinstance(message, (t.Result, t.Added, t.Changed)) or message.blobs is UNSET:
            return []
        blobs = self._blobs.receiver.claim(message.blobs)
        self._blobs.receiver.release(cost(blobs))
        return blobs

    # Inside

    def _send(self, call: Call, parcel: Parcel, blobs: Blobs) -> None:
        if parcel.in_turns:
            call.may_have_run = False
            self._waiting[parcel] = call
            blobs.sender.enqueue(parcel)
        else:
            self._outgoing += blobs.sender.at_once(parcel)

    def _in_version_1(self, letter: Letter) -> bytes:
        message = t.decode_from_client(letter.text)
        if not isinstance(message, (m.Method, m.Sub)) or message.params is UNSET:
            raise TypeError("only parameters hold bytes")
        params = self._ejson.loads(bytes(message.params), letter.blobs)
        return m.encode(msgspec.structs.replace(message, params=Raw(self._ejson.dumps(params))))


def extra_fields(seconds: float | None, traceparent: str | None) -> bytes:
    """What ``tandem1`` says of a method besides: as the end of its text."""
    fields = b""
    if seconds is not None:
        fields += b',"deadlineMs":%d' % max(0, math.ceil(seconds * 1000))
    if traceparent is not None:
        fields += b',"traceparent":' + msgspec.json.encode(traceparent)
    return fields


def _with(text: bytes, fields: bytes) -> bytes:
    return text[:-1] + fields + b"}" if fields else text

"""The server's side of a session in ``tandem1``: bytes, deadlines, cancel and progress."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import UNSET
from typing_extensions import override

from shared.rpc.ddp import messages as m
from shared.rpc.ddp import tandem as t
from shared.rpc.ddp.blob_receiver import BlobRefused, cost
from shared.rpc.ddp.blobs import Blobs
from shared.rpc.ddp.events import MethodCalled
from shared.rpc.ddp.frames import FrameError, Outgoing
from shared.rpc.ddp.handshake import Greeting
from shared.rpc.ddp.outbox import Text
from shared.rpc.ddp.parcels import Letter, Parcel, Written
from shared.rpc.ddp.queue import Beside
from shared.rpc.ddp.server import ServerSession
from shared.rpc.errors import MethodError

PROTOCOL_ERROR = 1002

_SLICE_BYTES = 262_144
"""How much is handed out at once of texts with bytes."""
_BULK_BYTES = 16_384
"""How much is handed out at once of bytes that go in turns."""

_CANCELLED = MethodError("cancelled", "The call was cancelled.")
_DEADLINE = MethodError("deadline", "The call was not done by its deadline.")
_TOO_LARGE = MethodError("too-large", "These are more bytes than can be taken in, or just now.")


class TandemSession(ServerSession):
    """One client's session, with its blobs in both directions."""

    __slots__ = (
        *("_blobs", "_deadlines", "_earliest", "_expanding", "_has_parcels", "_method_costs"),
        *("_now", "_sub_costs", "_unconfirmed", "_unconfirmed_bytes"),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        """As the session of any version."""
        super().__init__(*args, **options)
        self._blobs = Blobs(self._config.blobs)
        self._now = 0.0  # when the last text arrived
        self._deadlines: dict[str, float] = {}  # of the methods that have not ended
        self._earliest = math.inf  # none of them is earlier
        self._method_costs: dict[str, int] = {}  # of the blobs that they hold
        self._sub_costs: dict[str, int] = {}
        self._has_parcels = False  # maybe, among what waits in the outbox
        self._expanding: Iterator[Outgoing] | None = None  # what was begun to be handed out
        # Large results that were sent, and may have to be sent again: each one's number in
        # the session, which a ping behind it has as its id, and its size.
        self._unconfirmed: deque[tuple[int, int]] = deque()
        self._unconfirmed_bytes = 0
        self._answers.on_end = self._method_ended
        self._requests.check_blobs = self._check_result
        self._requests.on_refused_sub = self._sub_ended
        self.view.has_blobs = True
        self.view.on_end = self._sub_ended

    # What the connection does

    @override
    def receive(self, text: str | bytes, now: float) -> None:
        """Take in one message that arrived: a text, or a binary frame."""
        self._now = now
        if isinstance(text, str):
            super().receive(text, now)
        elif self._is_open:
            self._heartbeat.message_received()
            self._idle_at = now + self._idle_seconds
            self._receive_frame(text)

    @property
    @override
    def has_texts_to_send(self) -> bool:
        return (
            not self._outbox.is_empty
            or self._expanding is not None
            or self._blobs.receiver.has_frames_to_send
        )

    @override
    def texts_to_send(self) -> Sequence[Outgoing]:
        receiver = self._blobs.receiver
        if not (self._has_parcels or self._expanding or receiver.has_frames_to_send):
            return super().texts_to_send()
        out: list[Outgoing] = [*receiver.frames_to_send()]
        room = _SLICE_BYTES
        while room > 0:
            if self._expanding is None:
                entries = self._outbox.take()
                if not entries:
                    self._has_parcels = False
                    break
                self._expanding = self._expanded(entries, self._outbox.sent_count)
            message = next(self._expanding, None)
            if message is None:
                self._expanding = None
            else:
                out.append(message)
                room -= len(message)
        return out

    @property
    @override
    def has_bulk_to_send(self) -> bool:
        return self._blobs.sender.has_frames_to_send

    @override
    def bulk_to_send(self) -> Sequence[Outgoing]:
        out: list[Outgoing] = []
        for item in self._blobs.sender.frames_to_send(_BULK_BYTES):
            if isinstance(item, Parcel):
                out += (item.text, self._sent_large(item, self._outbox.sent(item)))
            else:
                out.append(item)
        return out

    @override
    def next_timer(self) -> float | None:
        due = super().next_timer()
        if self._earliest == math.inf or not self._is_open:
            return due
        return self._earliest if due is None else min(due, self._earliest)

    @override
    def handle_timer(self, now: float) -> None:
        super().handle_timer(now)
        if now >= self._earliest:
            self._end_overdue(now)

    # Connections come and go

    @override
    def detach(self) -> None:
        super().detach()
        self._expanding = None

    @override
    def resume(self, greeting: Greeting, now: float) -> bool:
        if not super().resume(greeting, now):
            return False
        self._blobs.connection_made()
        self._expanding = None
        self._has_parcels = True
        self._unconfirmed.clear()  # those that are not there go out again
        self._unconfirmed_bytes = 0
        return True

    # What the application does

    @override
    def progress(self, call: MethodCalled, done: float, total: float | None, note: str) -> None:
        if self._is_attached and self._answers.running(call.id) is call and math.isfinite(done):
            known = total if total is not None and math.isfinite(total) else None
            self._send(m.encode(t.Progress(call.id, done, known, note)))

    # Inside, what is sent

    @override
    def _send(self, *texts: Written) -> None:
        if not self._is_open:
            return
        for text in texts:
            if isinstance(text, Letter):
                self._post(text.numbered(self._blobs.sender.number(len(text.blobs))))
            else:
                self._outbox.put(text)
        if not self._is_attached:
            self._check_what_waits()

    def _post(self, parcel: Parcel) -> None:
        if parcel.in_turns:
            self._blobs.sender.enqueue(parcel)
        else:
            self._has_parcels = True
            self._outbox.put(parcel)

    def _check_result(self, blobs: Sequence[bytes]) -> None:
        """Refuse a result with which too many bytes would wait, or have to be kept."""
        total = sum(map(len, blobs))
        waiting = self._blobs.sender.waiting_bytes + self._unconfirmed_bytes
        if total and waiting + total > self._config.blobs.max_held_bytes:
            raise _TOO_LARGE

    def _expanded(self, entries: Sequence[Text], last_number: int) -> Iterator[Outgoing]:
        for entry in entries:
            if not isinstance(entry, Parcel):
                yield entry
                continue
            yield from self._blobs.sender.at_once(entry)
            if entry.in_turns:
                yield self._sent_large(entry, last_number)

    def _sent_large(self, parcel: Parcel, number: int) -> bytes:
        """It is kept until its arrival is known; returns the ping that asks for that."""
        self._unconfirmed.append((number, parcel.size))
        self._unconfirmed_bytes += parcel.size
        return m.encode(m.Ping(str(number)))

    def _confirm(self, pong_id: str) -> None:
        if self._unconfirmed and str(self._unconfirmed[0][0]) == pong_id:
            number, size = self._unconfirmed.popleft()
            self._unconfirmed_bytes -= size
            self._outbox.acknowledge(number)

    # Inside, what arrives

    def _receive_frame(self, data: bytes) -> None:
        try:
            refused = self._blobs.receive(data)
        except FrameError as error:
            self.close(PROTOCOL_ERROR, str(error))
            return
        if refused is not None:
            answer = t.decode_from_server(refused.text)
            if isinstance(answer, t.Result):
                self._send(m.encode(m.Result(answer.id, error=m.encode_error(_TOO_LARGE))))

    @override
    def _read(self, text: str | bytes) -> m.ClientMessage | t.Cancel:
        return t.decode_from_client(text)

    @override
    def _take(self, message: m.ClientMessage | t.Cancel, text: str | bytes) -> None:
        match message:
            case t.Method():
                self._take_method(message, text)
            case t.Sub():
                self._take_sub(message, text)
            case t.Cancel():
                self._requests.stop(message.id, _CANCELLED)
            case m.Pong() if isinstance(message.id, str):
                self._confirm(message.id)
            case _:
                super()._take(message, text)

    @override
    def _refuse_deep(self, message: m.ClientMessage | t.Cancel) -> None:
        blobs = self._claimed(message) if isinstance(message, (t.Method, t.Sub)) else []
        if blobs is not None:
            self._blobs.receiver.release(cost(blobs))
            super()._refuse_deep(message)

    def _take_method(self, message: t.Method, text: str | bytes) -> None:
        blobs = self._claimed(message)
        if blobs is None:
            return
        was_expected = self._answers.is_expected(message.id)
        deadline = None
        if message.deadline_ms is not UNSET:
            deadline = self._now + message.deadline_ms / 1000
        trace = None if message.traceparent is UNSET else message.traceparent
        self._check_queue(self._requests.take(message, text, Beside(blobs, deadline, trace)))
        if not blobs and deadline is None:
            return
        if was_expected or not self._answers.is_expected(message.id):
            self._blobs.receiver.release(cost(blobs))
            return
        if blobs:
            self._method_costs[message.id] = cost(blobs)
        if deadline is not None:
            self._deadlines[message.id] = deadline
            self._earliest = min(self._earliest, deadline)
            if deadline <= self._now:
                self._end_overdue(self._now)

    def _take_sub(self, message: t.Sub, text: str | bytes) -> None:
        blobs = self._claimed(message)
        if blobs is not None:
            if blobs:
                self._sub_costs[message.id] = self._sub_costs.get(message.id, 0) + cost(blobs)
            self._check_queue(self._requests.take(message, text, Beside(blobs)))

    def _claimed(self, message: t.Method | t.Sub) -> list[bytes] | None:
        """The blobs of a request; None if it has been dealt with, as they are not there."""
        if message.blobs is UNSET:
            return []
        try:
            return self._blobs.receiver.claim(message.blobs)
        except FrameError as error:
            self.close(PROTOCOL_ERROR, str(error))
        except BlobRefused:
            if not (isinstance(message, t.Method) and self._answers.is_expected(message.id)):
                self._requests.refuse_at_once(message, _TOO_LARGE)
        return None

    def _method_ended(self, method_id: str) -> None:
        self._deadlines.pop(method_id, None)
        if self._method_costs:
            self._blobs.receiver.release(self._method_costs.pop(method_id, 0))

    def _sub_ended(self, sub_id: str) -> None:
        if self._sub_costs:
            self._blobs.receiver.release(self._sub_costs.pop(sub_id, 0))

    def _end_overdue(self, now: float) -> None:
        for method_id in [name for name, due in self._deadlines.items() if due <= now]:
            del self._deadlines[method_id]
            self._requests.stop(method_id, _DEADLINE)
        self._earliest = min(self._deadlines.values(), default=math.inf)

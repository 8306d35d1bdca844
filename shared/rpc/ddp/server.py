"""The server's side of one DDP session, without I/O.

Feed it what arrives with :meth:`ServerSession.receive`; after that, and after every other
call, send :meth:`~ServerSession.texts_to_send`, act on
:meth:`~ServerSession.events`, and call :meth:`~ServerSession.handle_timer` at
:meth:`~ServerSession.next_timer`.

Methods, subscriptions and their ends form one queue, as in Meteor: the next one begins
when the handler before it has ended or was unblocked. Pings overtake.
"""

from collections import deque
from collections.abc import Container, Mapping
from enum import Enum, auto
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.answers import Answers
from shared.rpc.ddp.events import (
    Closed,
    MethodCalled,
    ServerEvent,
    SessionStarted,
    Subscribed,
    Unsubscribed,
)
from shared.rpc.ddp.heartbeat import Heartbeat, HeartbeatConfig
from shared.rpc.ddp.merge_box import Strategy
from shared.rpc.ddp.view import View
from shared.rpc.ejson import UNDEFINED, Ejson
from shared.rpc.errors import EjsonError, MethodError

NORMAL_CLOSURE = 1000


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a session treats its client."""

    heartbeat: HeartbeatConfig = HeartbeatConfig()
    connect_timeout: float = 45.0
    """Seconds that a socket may stay open without a ``connect``."""
    remembered_answers: int = 64
    """How many finished methods' answers are kept, for ids that are used again."""
    remembered_bytes: int = 65_536
    """And how large such an answer may be, at most, to be kept."""
    max_documents: int = 10_000
    """How many documents a session's subscriptions may have; the one that wants more ends."""


class _Refusal(msgspec.Struct, frozen=True):
    """A malformed message that waits for its turn, so that its answer is in order."""

    text: bytes


class _State(Enum):
    WAITING = auto()
    CONNECTED = auto()
    CLOSED = auto()


class ServerSession:
    """One client's session: negotiation, queue, answers, documents, heartbeat."""

    def __init__(
        self,
        session_id: str,
        *,
        methods: Container[str],
        publications: Container[str],
        ejson: Ejson,
        config: ServerConfig,
        now: float,
        strategies: Mapping[str, Strategy] | None = None,
    ) -> None:
        self.id = session_id
        self.version = ""
        """The version agreed on; empty before."""
        self._methods = methods
        self._publications = publications
        self._ejson = ejson
        self._config = config
        self._state = _State.WAITING
        self._connect_deadline = now + config.connect_timeout
        self._heartbeat = Heartbeat(config.heartbeat)
        self._outgoing: list[bytes] = []
        self._events: list[ServerEvent] = []
        self._queue: deque[m.Method | m.Sub | m.Unsub | _Refusal] = deque()
        self._blocking: MethodCalled | Subscribed | None = None
        self._answers = Answers(
            self._send_all,
            remembered=config.remembered_answers,
            remembered_bytes=config.remembered_bytes,
        )
        self.view = View(ejson, self._send, strategies, config.max_documents)
        """Where publications publish; its texts are this session's."""

    # What the connection does

    def receive(self, text: str | bytes, now: float) -> None:
        """Take in one text message that arrived."""
        if self._state is _State.CLOSED:
            return
        self._heartbeat.message_received()
        try:
            message = m.decode_from_client(text)
        except m.Unreadable:
            self._refuse(text)
            return
        if self._state is _State.CONNECTED:
            self._take(message, text)
        elif isinstance(message, m.Connect):
            self._connect(message, now)
        else:
            self._complain("Must connect first", text)

    @property
    def has_texts_to_send(self) -> bool:
        """Whether :meth:`texts_to_send` would return any."""
        return bool(self._outgoing)

    def texts_to_send(self) -> list[bytes]:
        """Take out the texts that must be sent now, in order."""
        texts, self._outgoing = self._outgoing, []
        return texts

    def events(self) -> list[ServerEvent]:
        """Take out what happened since the last call."""
        events, self._events = self._events, []
        return events

    def next_timer(self) -> float | None:
        """When to call :meth:`handle_timer` next, or None for never."""
        if self._state is _State.WAITING:
            return self._connect_deadline
        return self._heartbeat.next_timer()

    def handle_timer(self, now: float) -> None:
        """Let time pass: send a ping, or give up on a silent client."""
        if self._state is _State.WAITING and now >= self._connect_deadline:
            self.close(NORMAL_CLOSURE, "no connect message")
        elif self._heartbeat.is_dead(now):
            self.close(NORMAL_CLOSURE, "Normal closure")
        elif self._heartbeat.tick(now):
            self._send(m.encode(m.Ping()))

    def close(self, code: int, reason: str) -> None:
        """End the session; nothing is accepted or answered after this."""
        if self._state is _State.CLOSED:
            return
        self._state = _State.CLOSED
        self._heartbeat.stop()
        self._queue.clear()
        self.view.clear()
        self._events.append(Closed(code, reason))

    def start_universal(self, universal_id: str) -> None:
        """Start a universal publication: the client does not ask for it, nor hear of it.

        It is no part of the queue.
        """
        if self._state is _State.CONNECTED:
            subscribed = Subscribed(universal_id, None, [])
            self.view.start(subscribed)
            self._events.append(subscribed)

    # What methods do

    def method_done(self, call: MethodCalled, result: Any) -> None:
        """Answer a method; a result of ``UNDEFINED`` is none.

        Raises:
            EjsonError: the result can't be written; the method is not answered yet.
        """
        raw = UNSET if result is UNDEFINED else Raw(self._ejson.dumps(result))
        self._answers.answer(m.Result(call.id, result=raw))
        self.unblock(call)

    def method_failed(self, call: MethodCalled, error: MethodError) -> None:
        """Answer a method with an error."""
        self._answers.answer(m.Result(call.id, error=m.encode_error(error)))
        self.unblock(call)

    def begin_write(self, call: MethodCalled) -> bool:
        """Hold back the method's ``updated`` until :meth:`end_write`.

        False when it has been sent already: the method has ended, and so had its writes.
        """
        return self._answers.begin_write(call)

    def end_write(self, call: MethodCalled) -> None:
        """The data of one write of this method has been published."""
        self._answers.end_write(call)

    def is_blocking(self, handler: MethodCalled | Subscribed) -> bool:
        """Whether the queue waits for this handler."""
        return self._blocking is handler

    def unblock(self, handler: MethodCalled | Subscribed) -> None:
        """Let the next of the queue begin: this handler has ended, or allows it."""
        if self._blocking is handler:
            self._blocking = None
            self._advance()

    # Inside

    def _send(self, text: bytes) -> None:
        if self._state is not _State.CLOSED:
            self._outgoing.append(text)

    def _send_all(self, texts: list[bytes]) -> None:
        if self._state is not _State.CLOSED:
            self._outgoing += texts

    def _connect(self, message: m.Connect, now: float) -> None:
        version, support = message.version, message.support
        well_formed = (
            isinstance(version, str)
            and isinstance(support, list)
            and all(isinstance(item, str) for item in support)
            and version in support
        )
        # the client's order of preference decides, as in Meteor
        best = next((v for v in support if v in m.VERSIONS), "") if well_formed else ""
        if version != best or not best:
            self._send(m.encode(m.Failed(best or m.VERSIONS[0])))
            self.close(NORMAL_CLOSURE, "")
            return
        self._state = _State.CONNECTED
        self.version = best
        if best != "pre1":
            self._heartbeat.start(now)
        self._send(m.encode(m.Connected(self.id)))
        self._events.append(SessionStarted(self.id, best))

    def _take(self, message: m.ClientMessage, text: str | bytes) -> None:
        match message:
            case m.Method() | m.Sub() | m.Unsub():
                self._enqueue(message, text)
            case m.Ping() | m.Pong() if self.version == "pre1":
                self._enqueue_refusal("Bad request", text)
            case m.Ping():
                self._send(m.encode(m.Pong(message.id)))
            case m.Pong():
                pass
            case m.Connect():
                self._complain("Already connected", text)
            case m.Disconnect():
                self.close(NORMAL_CLOSURE, "")

    def _refuse(self, text: str | bytes) -> None:
        """Answer a text that is none of the messages a client may send."""
        found = m.offending(text)
        if found is None:
            self._send(m.encode(m.Error("Bad request")))
            return
        value, _raw = found
        kind = value.get("msg") if isinstance(value, dict) else None
        if not kind:
            self._complain("Bad request", text)
        elif self._state is _State.WAITING:
            self._complain("Must connect first", text)
        else:
            self._enqueue_refusal(_COMPLAINTS.get(str(kind), "Bad request"), text)

    def _complain(self, reason: str, text: str | bytes) -> None:
        self._send(_error_text(reason, text))

    def _enqueue_refusal(self, reason: str, text: str | bytes) -> None:
        self._queue.append(_Refusal(_error_text(reason, text)))
        self._advance()

    def _enqueue(self, message: m.Method | m.Sub | m.Unsub, text: str | bytes) -> None:
        if not isinstance(message, m.Unsub) and not _is_array(message.params):
            kind = "method" if isinstance(message, m.Method) else "sub"
            self._enqueue_refusal(_COMPLAINTS[kind], text)
            return
        self._queue.append(message)
        self._advance()

    def _advance(self) -> None:
        while self._blocking is None and self._queue:
            match self._queue.popleft():
                case m.Method() as message:
                    self._begin_method(message)
                case m.Sub() as message:
                    self._begin_subscription(message)
                case m.Unsub() as message:
                    self._end_subscription(message)
                case _Refusal() as refusal:
                    self._outgoing.append(refusal.text)

    def _begin_method(self, message: m.Method) -> None:
        if self._answers.repeat(message.id):
            return
        if message.method not in self._methods:
            error = MethodError(404, f"Method '{message.method}' not found")
            # Meteor's order for this one case: the result first
            self._send(m.encode(m.Result(message.id, error=m.encode_error(error))))
            self._send(m.encode(m.Updated([message.id])))
            return
        try:
            params = self._params(message.params)
        except EjsonError as error:
            self._answers.begin(message.id, None)
            failed = m.Result(message.id, error=m.encode_error(_bad_params(error)))
            self._answers.answer(failed)
            return
        seed = None if message.random_seed is UNSET else message.random_seed
        self._blocking = MethodCalled(message.id, message.method, params, seed)
        self._answers.begin(message.id, self._blocking)
        self._events.append(self._blocking)

    def _begin_subscription(self, message: m.Sub) -> None:
        if message.name not in self._publications:
            error = MethodError(404, f"Subscription '{message.name}' not found")
            self._send(m.encode(m.NoSub(message.id, m.encode_error(error))))
            return
        if self.view.find(message.id) is not None:
            return
        try:
            params = self._params(message.params)
        except EjsonError as error:
            refusal = m.NoSub(message.id, m.encode_error(_bad_params(error)))
            self._send(m.encode(refusal))
            return
        self._blocking = Subscribed(message.id, message.name, params)
        self.view.start(self._blocking)
        self._events.append(self._blocking)

    def _end_subscription(self, message: m.Unsub) -> None:
        subscription = self.view.find(message.id)
        if subscription is None:
            self._send(m.encode(m.NoSub(message.id)))
        else:
            self._events.append(Unsubscribed(subscription))
            self.view.end(subscription)

    def _params(self, raw: Raw | msgspec.UnsetType) -> list[Any]:
        if raw is UNSET:
            return []
        params: list[Any] = self._ejson.loads(bytes(raw))
        return params


_COMPLAINTS = {
    "method": "Malformed method invocation",
    "sub": "Malformed subscription",
    "unsub": "Malformed unsubscription",
}


def _is_array(raw: Raw | msgspec.UnsetType) -> bool:
    return raw is UNSET or memoryview(raw)[0] == ord("[")


def _bad_params(error: EjsonError) -> MethodError:
    return MethodError(400, "Malformed EJSON", str(error))


def _error_text(reason: str, text: str | bytes) -> bytes:
    found = m.offending(text)
    return m.encode(m.Error(reason, UNSET if found is None else found[1]))

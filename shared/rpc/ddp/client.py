"""The client's side of DDP, without I/O, over any number of connections in a row.

Tell it of each new connection with :meth:`ClientSession.connection_made`, feed it what
arrives with :meth:`~ClientSession.receive`; after that, and after every other call, send
:meth:`~ClientSession.texts_to_send`, act on :meth:`~ClientSession.events`, and call
:meth:`~ClientSession.handle_timer` at :meth:`~ClientSession.next_timer`.

A call is settled by its ``result``; ``updated`` may come before it, after it or never.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from itertools import count
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.events import (
    ClientEvent,
    Closed,
    Complaint,
    DocumentEvent,
    MethodRaised,
    MethodReturned,
    NegotiationEnded,
    SessionStarted,
    SubscriptionEnded,
    SubscriptionReady,
)
from shared.rpc.ddp.heartbeat import Heartbeat, HeartbeatConfig
from shared.rpc.ddp.ids import DocumentIds
from shared.rpc.ddp.local import LocalCollections
from shared.rpc.ejson import UNDEFINED, Ejson
from shared.rpc.errors import EjsonError

NORMAL_CLOSURE = 1000


class ClientSessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a session treats its server."""

    heartbeat: HeartbeatConfig = HeartbeatConfig(interval=17.5, timeout=15.0)
    connect_timeout: float = 10.0
    """Seconds that the server may take to answer ``connect``."""


class _State(Enum):
    DISCONNECTED = auto()
    CONNECTING = auto()
    CONNECTED = auto()


class ClientSession:
    """One client: its calls, its subscriptions, its documents, its heartbeat."""

    def __init__(self, *, ejson: Ejson, config: ClientSessionConfig) -> None:
        self._ejson = ejson
        self._ids = DocumentIds(ejson)
        self._config = config
        self._state = _State.DISCONNECTED
        self._version = m.VERSIONS[0]
        self._deadline: float | None = None
        self._heartbeat = Heartbeat(config.heartbeat)
        self._outgoing: list[bytes] = []
        self._events: list[ClientEvent] = []
        self._method_ids = count(1)
        self._subscription_ids = count(1)
        self._calls: set[str] = set()
        self._subscriptions: dict[str, bytes] = {}  # id → the text that asks for it
        self._ready: set[str] = set()
        self._awaited: set[str] = set()  # were ready before the reconnect, are not yet again
        self._local = LocalCollections()

    @property
    def is_connected(self) -> bool:
        """Whether the server has welcomed us."""
        return self._state is _State.CONNECTED

    # What the connection does

    def connection_made(self, now: float) -> None:
        """A connection is open: introduce ourselves."""
        self._state = _State.CONNECTING
        self._deadline = now + self._config.connect_timeout
        self._outgoing = [m.encode(m.Connect(version=self._version, support=list(m.VERSIONS)))]

    def connection_lost(self) -> list[str]:
        """The connection is gone; returns the ids of the calls that won't be answered."""
        self._state = _State.DISCONNECTED
        self._deadline = None
        self._heartbeat.stop()
        self._outgoing = []
        lost, self._calls = list(self._calls), set()
        return lost

    def receive(self, text: str | bytes, now: float) -> None:
        """Take in one message that arrived. Binary ones, and unknown ones, are ignored."""
        if self._state is _State.DISCONNECTED or isinstance(text, bytes):
            return
        self._heartbeat.message_received()
        try:
            message = m.decode_from_server(text)
        except m.Unreadable:
            return
        match message:
            case m.Result():
                self._on_result(message)
            case m.Added() | m.AddedBefore() | m.Changed() | m.Removed():
                self._on_document(message)
            case m.Ready():
                self._on_ready(message)
            case m.NoSub():
                self._on_nosub(message)
            case m.Updated() | m.Pong() | m.MovedBefore():
                pass
            case m.Ping() | m.Connected() | m.Failed() | m.Error():
                self._on_session(message, now)

    @property
    def has_texts_to_send(self) -> bool:
        """Whether :meth:`texts_to_send` would return any."""
        return bool(self._outgoing)

    @property
    def bytes_to_send(self) -> int:
        """How long the texts are that :meth:`texts_to_send` would return."""
        return sum(map(len, self._outgoing))

    def texts_to_send(self) -> list[bytes]:
        """Take out the texts that must be sent now, in order."""
        texts, self._outgoing = self._outgoing, []
        return texts

    def events(self) -> list[ClientEvent]:
        """Take out what happened since the last call."""
        events, self._events = self._events, []
        return events

    def next_timer(self) -> float | None:
        """When to call :meth:`handle_timer` next, or None for never."""
        return self._deadline if self._deadline is not None else self._heartbeat.next_timer()

    def handle_timer(self, now: float) -> None:
        """Let time pass: send a ping, or give up on a silent server."""
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._events.append(Closed(NORMAL_CLOSURE, "no answer to connect"))
        elif self._heartbeat.is_dead(now):
            self._heartbeat.stop()
            self._events.append(Closed(NORMAL_CLOSURE, "no answer to ping"))
        elif self._heartbeat.tick(now):
            self._outgoing.append(m.encode(m.Ping()))

    def other_side_is_alive(self) -> None:
        """It takes what it is sent, though nothing is read from it meanwhile."""
        self._heartbeat.message_received()

    # What the application does

    def call(self, name: str, params: Sequence[Any]) -> str:
        """Call a method; returns the id under which its answer will come.

        Must be connected.

        Raises:
            EjsonError: the parameters can't be written; nothing is sent.
        """
        raw = Raw(self._ejson.dumps(params))
        method_id = str(next(self._method_ids))
        self._calls.add(method_id)
        self._outgoing.append(m.encode(m.Method(method_id, name, raw)))
        return method_id

    def forget(self, method_id: str) -> None:
        """Nobody waits for this call any more; its answer will be ignored."""
        self._calls.discard(method_id)

    def subscribe(self, name: str, params: Sequence[Any]) -> str:
        """Subscribe, now or as soon as there is a connection; returns the id.

        Raises:
            EjsonError: the parameters can't be written; nothing is sent.
        """
        raw = Raw(self._ejson.dumps(params))
        subscription_id = f"s{next(self._subscription_ids)}"
        text = m.encode(m.Sub(subscription_id, name, raw))
        self._subscriptions[subscription_id] = text
        if self.is_connected:
            self._outgoing.append(text)
        return subscription_id

    def unsubscribe(self, subscription_id: str) -> None:
        """End a subscription; ``SubscriptionEnded`` comes once the server agrees.

        Without a connection, it comes at once.
        """
        if self._subscriptions.pop(subscription_id, None) is None:
            return
        if self.is_connected:
            self._outgoing.append(m.encode(m.Unsub(subscription_id)))
        else:
            self._events.append(SubscriptionEnded(subscription_id, None))
        self._forget_subscription(subscription_id)

    def documents(self, collection: str) -> Mapping[Any, Mapping[str, Any]]:
        """The documents of one collection by id; it follows every change."""
        return self._local.documents(collection)

    # Inside

    def _on_session(self, message: m.Ping | m.Connected | m.Failed | m.Error, now: float) -> None:
        match message:
            case m.Ping():
                self._outgoing.append(m.encode(m.Pong(message.id)))
            case m.Connected():
                self._on_connected(message, now)
            case m.Failed():
                self._on_failed(message)
            case m.Error():
                offending = message.offending_message
                quoted = "" if offending is UNSET else bytes(offending).decode(errors="replace")
                self._events.append(Complaint(message.reason, quoted[:1000]))

    def _on_connected(self, message: m.Connected, now: float) -> None:
        if self._state is not _State.CONNECTING:
            return
        self._state = _State.CONNECTED
        self._deadline = None
        if self._version != "pre1":
            self._heartbeat.start(now)
        self._events.append(SessionStarted(message.session, self._version))
        self._awaited |= self._ready
        self._ready = set()
        self._local.begin_anew()
        self._outgoing += self._subscriptions.values()
        self._show_when_complete()

    def _on_failed(self, message: m.Failed) -> None:
        if self._state is not _State.CONNECTING:
            return
        self._deadline = None
        if message.version in m.VERSIONS and message.version != self._version:
            self._version = message.version  # the next connection proposes it
        else:
            self._events.append(NegotiationEnded(message.version))
        self._events.append(Closed(NORMAL_CLOSURE, ""))

    def _on_result(self, message: m.Result) -> None:
        if message.id not in self._calls:
            return
        self._calls.discard(message.id)
        if message.error is not UNSET:
            self._events.append(MethodRaised(message.id, m.decode_error(message.error)))
            return
        try:
            result = UNDEFINED if message.result is UNSET else self._loads(message.result)
        except EjsonError as error:
            self._events.append(MethodRaised(message.id, error))
        else:
            self._events.append(MethodReturned(message.id, result))

    def _on_ready(self, message: m.Ready) -> None:
        known = [name for name in message.subs if name in self._subscriptions]
        self._ready.update(known)
        self._awaited.difference_update(known)
        self._show_when_complete()
        self._events += map(SubscriptionReady, known)

    def _on_nosub(self, message: m.NoSub) -> None:
        self._subscriptions.pop(message.id, None)
        self._forget_subscription(message.id)
        error = None if message.error is UNSET else m.decode_error(message.error)
        self._events.append(SubscriptionEnded(message.id, error))

    def _on_document(self, message: m.Added | m.AddedBefore | m.Changed | m.Removed) -> None:
        try:
            event = self._apply(message)
        except EjsonError:
            return  # nothing sensible can be shown of it
        if event is not None:
            self._events.append(event)

    def _apply(
        self, message: m.Added | m.AddedBefore | m.Changed | m.Removed
    ) -> DocumentEvent | None:
        document_id = self._ids.from_wire(message.id)
        match message:
            case m.Removed():
                return self._local.removed(message.collection, document_id)
            case m.Changed():
                changes = self._fields(message.fields)
                if message.cleared is not UNSET:
                    changes |= dict.fromkeys(message.cleared, UNDEFINED)
                return self._local.changed(message.collection, document_id, changes)
            case m.Added() | m.AddedBefore():
                fields = self._fields(message.fields)
                return self._local.added(message.collection, document_id, fields)

    def _fields(self, raw: Raw | UnsetType) -> dict[str, Any]:
        fields = {} if raw is UNSET else self._loads(raw)
        if not isinstance(fields, dict):
            raise EjsonError("fields must be an object")
        return fields

    def _loads(self, raw: Raw) -> Any:
        return self._ejson.loads(bytes(raw))

    def _forget_subscription(self, subscription_id: str) -> None:
        self._ready.discard(subscription_id)
        self._awaited.discard(subscription_id)
        self._show_when_complete()

    def _show_when_complete(self) -> None:
        if self.is_connected and not self._awaited:
            self._events += self._local.show()

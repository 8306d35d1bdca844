"""The client's side of DDP, without I/O, over any number of connections in a row.

Tell it of each new connection with :meth:`ClientSession.connection_made`, feed it what
arrives with :meth:`~ClientSession.receive`; after that, and after every other call, send
:meth:`~ClientSession.texts_to_send`, act on :meth:`~ClientSession.events`, and call
:meth:`~ClientSession.handle_timer` at :meth:`~ClientSession.next_timer`.

A session of the server outlives its connection: the next one asks for it, with the number
of messages received so far. If it is *resumed*, nothing is lost: calls are sent again with
their ids, which the server knows. If not, the server has begun anew: only calls with
``retry`` are sent again, the others fail; subscriptions are made anew, and their documents
take the place of the old ones in one go.

A call is settled by its ``result``; ``updated`` may come before it, after it or never.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.events import (
    ClientEvent,
    Closed,
    Complaint,
    NegotiationEnded,
    Renegotiating,
    SessionStarted,
    SubscriptionEnded,
    SubscriptionReady,
)
from shared.rpc.ddp.heartbeat import Heartbeat, HeartbeatConfig
from shared.rpc.ddp.introduction import Introduction
from shared.rpc.ddp.local import LocalCollections
from shared.rpc.ddp.outstanding import Answer, Call, Outstanding
from shared.rpc.ddp.subscriptions import Subscriptions
from shared.rpc.ejson import Ejson

NORMAL_CLOSURE = 1000

_UNCOUNTED = frozenset({m.Ping, m.Pong})
"""Messages that are no part of a session: both ends leave them out when they count."""

_HEAD = re.compile(r'\s*\{\s*"msg"\s*:\s*"(?P<msg>[^"]+)"(?:\s*,\s*"id"\s*:\s*"(?P<id>\d+)")?')
"""How a message begins, for one that is nested too deeply to be read."""


class ClientSessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a session treats its server."""

    heartbeat: HeartbeatConfig = HeartbeatConfig(interval=17.5, timeout=15.0)
    connect_timeout: float = 10.0
    """Seconds that the server may take to answer ``connect``."""
    versions: tuple[str, ...] = m.VERSIONS
    """The versions to offer, best first; that one is proposed first."""
    max_queued: int = 10_000
    """Calls that may wait to be sent; one more fails at once."""


class ClientSession:
    """One client: its calls, its subscriptions, its documents, its heartbeat."""

    def __init__(
        self, *, ejson: Ejson, config: ClientSessionConfig, new_id: Callable[[], str]
    ) -> None:
        """``new_id`` makes the ids of subscriptions; no two may be the same."""
        self.is_connected = False
        """Whether the server has welcomed us."""
        self.logs_in = False
        """Whether each new session begins with a login, that :meth:`logged_in` ends."""
        self.is_logged_in = False
        """Whether this session's login, if there has to be one, is over."""
        self._is_connecting = False
        self._ejson = ejson
        self._config = config
        self._new_id = new_id
        self._introduction = Introduction(config.versions)
        self._deadline: float | None = None
        self._heartbeat = Heartbeat(config.heartbeat)
        self._outgoing: list[bytes] = []
        self._events: list[ClientEvent] = []
        self._method_ids = count(1)
        self._outstanding = Outstanding(ejson, config.max_queued)
        self._subscriptions = Subscriptions()
        self._ready_later: list[str] = []  # their documents are in, but not shown yet
        self._local = LocalCollections(ejson)

    # What the connection does

    def connection_made(self, now: float) -> None:
        """A connection is open: introduce ourselves."""
        self._is_connecting = True
        self._deadline = now + self._config.connect_timeout
        self._outgoing = [m.encode(self._introduction.connect())]

    def connection_lost(self) -> None:
        """The connection is gone; what was sent waits for the session to be resumed."""
        was_connected = self.is_connected
        self.is_connected = self._is_connecting = False
        self._deadline = None
        self._heartbeat.stop()
        self._outgoing = []
        for subscription_id in self._subscriptions.being_left():
            self._events.append(SubscriptionEnded(subscription_id, None))
        if was_connected and self._introduction.broke():
            self._withdraw(lambda call: not call.may_have_run, "resuming the session was in vain")

    def give_up(self, reason: str, *, keep_unsent: bool) -> None:
        """The session won't be resumed: settle what waits for that.

        Kept are the calls with ``retry`` and, if so wished, those that were never sent.
        """
        self._withdraw(lambda call: call.retry or (keep_unsent and not call.may_have_run), reason)

    def leave(self, reason: str, *, keep_unsent: bool) -> None:
        """Tell the server that we leave for good; the connection must be closed now."""
        if self.is_connected or self._is_connecting:
            self._outgoing.append(m.encode(m.Disconnect()))
        self.is_connected = self._is_connecting = False
        self._introduction.forget_session()
        self._withdraw(lambda call: keep_unsent and not call.may_have_run, reason)

    def receive(self, text: str | bytes, now: float) -> None:
        """Take in one message that arrived. Binary ones, and unknown ones, are ignored."""
        if isinstance(text, bytes) or not (self.is_connected or self._is_connecting):
            return
        self._heartbeat.message_received()
        try:
            message = m.decode_from_server(text)
        except m.Unreadable:
            self._on_unreadable(text)
            return
        if self.is_connected:
            self._on_message(message)
        else:
            self._on_answer_to_connect(message, now)

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

    def call(
        self,
        name: str,
        params: Sequence[Any],
        *,
        retry: bool = False,
        wait: bool = False,
        updated: bool = False,
        first: bool = False,
    ) -> str:
        """Call a method, now or once there is a connection; returns the id of its answer.

        Args:
            retry: send it again also to a server that does not know our session any more.
            wait: send it when all calls before are settled, and those after when it is.
            updated: settle it only when the documents that it changed are in.
            first: it is part of a login.

        Raises:
            EjsonError: the parameters can't be written; nothing is sent.
            ConnectionLost: too many calls wait to be sent.
        """
        raw = Raw(self._ejson.dumps(params))
        method_id = str(next(self._method_ids))
        text = m.encode(m.Method(method_id, name, raw))
        call = Call(method_id, text, retry, wait, first, updated)
        outstanding = self._outstanding
        if self.is_logged_in and self.is_connected and outstanding.is_line_empty and not wait:
            outstanding.pass_by(call)
            self._outgoing.append(text)
        else:
            outstanding.add(call)
            self._send_calls()
        return method_id

    def may_have_run(self, method_id: str) -> bool:
        """Whether an unsettled call was sent."""
        return self._outstanding.may_have_run(method_id)

    def forget(self, method_id: str) -> None:
        """Nobody waits for this call any more; its answer will be ignored."""
        self._outstanding.remove(method_id)
        self._arrived([method_id])
        self._send_calls()

    def logged_in(self) -> None:
        """The login is over, for better or worse: let go of what waited for it."""
        self.is_logged_in = True
        self._send_calls()
        self._send_subscriptions()

    def subscribe(self, name: str, params: Sequence[Any]) -> str:
        """Subscribe, now or as soon as there is a connection; returns the id.

        Raises:
            EjsonError: the parameters can't be written; nothing is sent.
        """
        raw = Raw(self._ejson.dumps(params))
        subscription_id = self._new_id()
        self._subscriptions.add(subscription_id, m.encode(m.Sub(subscription_id, name, raw)))
        self._send_subscriptions()
        return subscription_id

    def unsubscribe(self, subscription_id: str) -> None:
        """End a subscription; ``SubscriptionEnded`` comes once the server agrees.

        Without a connection, it comes at once.
        """
        if subscription_id not in self._subscriptions:
            return
        must_agree = self._subscriptions.leave(subscription_id)
        self._arrived([subscription_id])
        if not (must_agree and self.is_connected):
            self._events.append(SubscriptionEnded(subscription_id, None))
        self._send_subscriptions()

    def documents(self, collection: str) -> Mapping[Any, Mapping[str, Any]]:
        """The documents of one collection by id; it follows every change."""
        return self._local.documents(collection)

    # Connecting

    def _on_answer_to_connect(self, message: m.ServerMessage, now: float) -> None:
        match message:
            case m.Connected():
                self._on_connected(message, now)
            case m.Failed():
                self._on_failed(message)
            case m.Ping():
                self._outgoing.append(m.encode(m.Pong(message.id)))
            case m.Error():
                self._on_error(message)
            case _:
                pass

    def _on_connected(self, message: m.Connected, now: float) -> None:
        self.is_connected, self._is_connecting = True, False
        self._deadline = None
        is_resumed = self._introduction.welcomed(message.session)
        version = self._introduction.version
        if version != "pre1":
            self._heartbeat.start(now)
        self._events.append(SessionStarted(message.session, version, is_resumed))
        if is_resumed:
            self._outgoing += self._outstanding.unanswered()
            self._subscriptions.resume()
        else:
            self._begin_anew()
        self._send_calls()
        self._send_subscriptions()

    def _begin_anew(self) -> None:
        self.is_logged_in = not self.logs_in
        self._ready_later = []
        self._withdraw(
            lambda call: call.retry or call.answer or not call.may_have_run,
            "the connection broke, and the server has begun a new session",
        )
        again = self._outstanding.begin_anew()
        self._local.begin_anew(self._subscriptions.begin_anew() | again)
        self._arrived(())

    def _on_failed(self, message: m.Failed) -> None:
        self._deadline = None
        if self._introduction.refused(message.version):
            self._events.append(Renegotiating(message.version))
        else:
            self._withdraw(lambda _call: False, "the server speaks no version that we speak")
            self._events.append(NegotiationEnded(message.version))
        self._events.append(Closed(NORMAL_CLOSURE, ""))

    def _on_error(self, message: m.Error) -> None:
        offending = message.offending_message
        quoted = "" if offending is UNSET else bytes(offending).decode(errors="replace")
        self._events.append(Complaint(message.reason, quoted[:1000]))

    # What a server sends

    def _on_message(self, message: m.ServerMessage) -> None:
        if type(message) in _UNCOUNTED:
            self._on_heartbeat(message)
            return
        self._introduction.received += 1
        match message:
            case m.Result():
                self._settled(
                    self._outstanding.answered(message, is_complete=self._local.is_complete)
                )
            case m.Updated():
                self._outstanding.updated(message.methods)
                self._arrived(message.methods)
            case m.Added() | m.AddedBefore() | m.Changed() | m.Removed():
                event = self._local.apply(message)
                if event is not None:
                    self._events.append(event)
            case m.Ready():
                self._ready_later += self._subscriptions.became_ready(message.subs)
                self._arrived(message.subs)
            case m.NoSub():
                self._on_nosub(message)
            case m.Error():
                self._on_error(message)
            case _:
                pass

    def _on_heartbeat(self, message: m.ServerMessage) -> None:
        if isinstance(message, m.Ping) and self._introduction.version != "pre1":
            self._outgoing.append(m.encode(m.Pong(message.id)))

    def _on_unreadable(self, text: str) -> None:
        """A message that is unknown or ill-typed; or nested too deeply, as a result may be."""
        head = _HEAD.match(text)
        if not self.is_connected or head is None:
            return
        if head["msg"] not in ("ping", "pong"):
            self._introduction.received += 1
        if head["msg"] == "result":
            self._settled(self._outstanding.answered_unreadably(head["id"] or ""))

    def _on_nosub(self, message: m.NoSub) -> None:
        self._subscriptions.ended(message.id)
        self._arrived([message.id])
        error = None if message.error is UNSET else m.decode_error(message.error)
        self._events.append(SubscriptionEnded(message.id, error))

    # Inside

    def _send_calls(self) -> None:
        if self.is_connected:
            self._outgoing += self._outstanding.release(first_only=not self.is_logged_in)

    def _send_subscriptions(self) -> None:
        if self.is_connected and self.is_logged_in:
            self._outgoing += self._subscriptions.texts_to_send()

    def _arrived(self, ids: Sequence[str]) -> None:
        """The documents of these subscriptions and methods are in; show them if all are."""
        if not self._local.is_complete:
            self._events += self._local.arrived(ids)
            if not self._local.is_complete:
                return
        for answer in self._outstanding.complete():
            self._settled(answer)
        if self._ready_later:
            self._events += map(SubscriptionReady, self._ready_later)
            self._ready_later = []

    def _settled(self, answer: Answer | None) -> None:
        if answer is not None:
            self._events.append(answer)
            if self._outstanding.is_anything_queued:
                self._send_calls()

    def _withdraw(self, keep: Callable[[Call], object], reason: str) -> None:
        self._events += self._outstanding.withdraw(keep, reason)

"""The server's side of one DDP session, without I/O, over any number of connections in a row.

It begins when a client's :class:`~shared.rpc.ddp.handshake.Greeting` asks for none of the
sessions that there are. Feed it what arrives with :meth:`ServerSession.receive`; after that,
and after every other call, send :meth:`~ServerSession.texts_to_send`, act on
:meth:`~ServerSession.events`, and call :meth:`~ServerSession.handle_timer` at
:meth:`~ServerSession.next_timer`. When the connection is lost, :meth:`~ServerSession.detach`
it; while there is none, what the session says waits for :meth:`~ServerSession.resume`.
"""

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

from shared.rpc.ddp import messages as m
from shared.rpc.ddp import tandem as t
from shared.rpc.ddp.answers import Answers
from shared.rpc.ddp.complaints import BAD_REQUEST, MALFORMED, complaint, kind_of
from shared.rpc.ddp.config import ServerConfig
from shared.rpc.ddp.events import Closed, Dropped, MethodCalled, ServerEvent, Subscribed
from shared.rpc.ddp.frames import Outgoing
from shared.rpc.ddp.handshake import Greeting
from shared.rpc.ddp.heartbeat import Heartbeat
from shared.rpc.ddp.merge_box import Strategy
from shared.rpc.ddp.nesting import is_nested_deeper
from shared.rpc.ddp.outbox import Outbox
from shared.rpc.ddp.parcels import Written
from shared.rpc.ddp.remembered import Remembered
from shared.rpc.ddp.requests import Requests
from shared.rpc.ddp.view import View
from shared.rpc.ejson import Ejson
from shared.rpc.errors import MethodError

NORMAL_CLOSURE = 1000
POLICY_VIOLATION = 1008

_PING = m.encode(m.Ping())


class ServerSession:
    """One client's session: its requests, its documents, and what it has to be told."""

    __slots__ = (
        *("_answers", "_config", "_events", "_grow_older_at", "_heartbeat", "_idle_at"),
        *("_idle_seconds", "_is_attached", "_is_left", "_is_open", "_look_at", "_outbox"),
        *("_pings", "_pongs", "_proof", "_requests"),
        *("id", "version", "view"),
    )

    def __init__(
        self,
        session_id: str,
        version: str = m.VERSIONS[0],
        *,
        methods: Container[str],
        publications: Container[str],
        ejson: Ejson,
        config: ServerConfig,
        now: float,
        strategies: Mapping[str, Strategy] | None = None,
        remembered: Remembered | None = None,
    ) -> None:
        """``remembered``: what the session knew that this client had before."""
        self.id = session_id
        self.version = version
        """The version agreed on."""
        self._config = config
        self._is_open = True
        self._is_attached = True
        self._is_left = False
        self._heartbeat = Heartbeat(config.heartbeat)
        self._outbox = Outbox(config.replay_bytes if config.resume_timeout else 0)
        self._events: list[ServerEvent] = []
        self._answers = Answers(
            self._send,
            remembered
            or Remembered(max_count=config.remembered_answers, max_bytes=config.remembered_bytes),
        )
        self.view = View(ejson, self._send, strategies, config.max_documents)
        """Where publications publish; its texts are this session's."""
        self._requests = Requests(
            methods=methods,
            publications=publications,
            ejson=ejson,
            config=config,
            answers=self._answers,
            view=self.view,
            send=self._send,
            event=self._events.append,
        )
        self._pings = self._pongs = 0  # on this connection
        self._proof: tuple[int, int] | None = None  # that many pongs show that so many arrived
        self._idle_seconds = config.idle_timeout or math.inf
        self._idle_at = self._grow_older_at = self._look_at = now
        self._outbox.put(m.encode(m.Connected(session_id)))
        self._begin_to_watch(now)

    # What the connection does

    def receive(self, text: str | bytes, now: float) -> None:
        """Take in one text message that arrived."""
        if not self._is_open:
            return
        self._heartbeat.message_received()
        is_deep = is_nested_deeper(text, self._config.max_depth)
        try:
            message = self._read(text)
        except m.Unreadable:
            self._refuse(text)
            return
        if not isinstance(message, (m.Ping, m.Pong)):
            self._idle_at = now + self._idle_seconds
        if is_deep:
            self._refuse_deep(message)
        else:
            self._take(message, text)

    @property
    def is_open(self) -> bool:
        """Whether it goes on, with or without a connection."""
        return self._is_open

    @property
    def has_texts_to_send(self) -> bool:
        """Whether :meth:`texts_to_send` would return any."""
        return not self._outbox.is_empty

    @property
    def bytes_to_send(self) -> int:
        """How long the texts are that were not taken out yet."""
        return self._outbox.waiting_bytes

    def texts_to_send(self) -> Sequence[Outgoing]:
        """Take out what must be sent now, in order; once more, until there is nothing."""
        texts: list[Any] = self._outbox.take()  # all bytes: there are no parcels in version 1
        return texts

    @property
    def has_bulk_to_send(self) -> bool:
        """Whether :meth:`bulk_to_send` would return anything."""
        return False

    def bulk_to_send(self) -> Sequence[Outgoing]:
        """Take out a little of what can wait until there are no texts to send."""
        return ()

    def events(self) -> list[ServerEvent]:
        """Take out what happened since the last call."""
        events = self._events.copy()
        self._events.clear()
        return events

    def next_timer(self) -> float | None:
        """When to call :meth:`handle_timer` next, or None for never."""
        if not (self._is_open and self._is_attached):
            return None
        due = self._heartbeat.next_timer()
        return self._look_at if due is None or due > self._look_at else due

    def handle_timer(self, now: float) -> None:
        """Let time pass: send a ping, give up on a silent client, forget what it has."""
        if not (self._is_open and self._is_attached):
            return
        if self._heartbeat.is_dead(now):
            self._heartbeat.stop()
            self._events.append(Dropped(NORMAL_CLOSURE, "Normal closure"))
            return
        if self._heartbeat.tick(now):
            self._pings += 1
            if self._proof is None:
                self._proof = self._pings, self._outbox.last_number
            self._outbox.put_control(_PING)
        if now >= self._grow_older_at:
            self._outbox.grow_older()
            self._grow_older_at = now + self._seconds_to_miss()
        if now >= self._idle_at:
            if self._answers.outstanding or self.view.subscription_count:
                self._idle_at = now + self._idle_seconds
            else:
                self.close(NORMAL_CLOSURE, "idle")
        self._look_at = min(self._grow_older_at, self._idle_at)

    def other_side_is_alive(self) -> None:
        """It takes what it is sent, though nothing is read from it meanwhile."""
        self._heartbeat.message_received()

    def close(self, code: int, reason: str) -> None:
        """End the session; nothing is accepted or answered after this."""
        if not self._is_open:
            return
        self._is_open = False
        self._heartbeat.stop()
        self._requests.clear()
        self.view.clear()
        self._events.append(Closed(code, reason))

    # Connections come and go

    def detach(self) -> None:
        """The connection is lost: what the session says from now on waits for another."""
        self._is_attached = False
        self._heartbeat.stop()
        self._outbox.disconnected()
        self._check_what_waits()

    def resume(self, greeting: Greeting, now: float) -> bool:
        """Go on over a new connection, if nothing that the client has not received is gone.

        The old one, if it is still there, must not take out texts any more.
        """
        received = greeting.received_count
        if not self._is_open or received is None or greeting.version != self.version:
            return False
        if not self._outbox.rewind(received, m.encode(m.Connected(self.id))):
            return False
        self._is_attached = True
        self._answers.resumed()
        self._begin_to_watch(now)
        return True

    def leave(self) -> None:
        """The client is gone for good: it will not come back for answers either."""
        self._is_left = True
        self.close(NORMAL_CLOSURE, "")

    def legacy(self) -> Remembered | None:
        """What the client's next session must know of this one, which has ended."""
        remembered = self._answers.end()
        return None if self._is_left or not remembered.size else remembered

    # What the application does

    def start_universal(self, universal_id: str) -> None:
        """Start a universal publication: the client does not ask for it, nor hear of it.

        It is no part of the queue.
        """
        if self._is_open:
            subscribed = Subscribed(universal_id, None, [])
            self.view.start(subscribed)
            self._events.append(subscribed)

    def method_done(self, call: MethodCalled, result: Any) -> None:
        """Answer a method; a result of ``UNDEFINED`` is none.

        Raises:
            EjsonError: the result can't be written; the method is not answered yet.
            MethodError: nor can it be sent.
        """
        if self._is_open:
            self._requests.method_done(call, result)

    def method_failed(self, call: MethodCalled, error: MethodError) -> None:
        """Answer a method with an error."""
        if self._is_open:
            self._requests.method_failed(call, error)

    def progress(self, call: MethodCalled, done: float, total: float | None, note: str) -> None:
        """Tell a method's caller how far it is, if the version has words for that."""

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
        return self._requests.is_blocking(handler)

    def unblock(self, handler: MethodCalled | Subscribed) -> None:
        """Let the next of the queue begin: this handler has ended, or allows it."""
        if self._is_open:
            self._requests.unblock(handler)

    # Inside

    def _read(self, text: str | bytes) -> m.ClientMessage | t.Cancel:
        return m.decode_from_client(text)

    def _begin_to_watch(self, now: float) -> None:
        if self.version != "pre1":
            self._heartbeat.start(now)
        self._pings = self._pongs = 0
        self._proof = None
        self._grow_older_at = now + self._seconds_to_miss()
        self._idle_at = now + self._idle_seconds
        self._look_at = min(self._grow_older_at, self._idle_at)

    def _seconds_to_miss(self) -> float:
        """How long it takes at most until a client that missed something is back for it."""
        config = self._config
        return config.heartbeat.interval + config.heartbeat.timeout + config.resume_timeout

    def _send(self, *texts: Written) -> None:
        if self._is_open:
            found: Any = texts  # all bytes: nothing travels beside them in version 1
            self._outbox.put(*found)
            if not self._is_attached:
                self._check_what_waits()

    def _check_what_waits(self) -> None:
        if not self._outbox.make_room(self._config.replay_bytes):
            self.close(POLICY_VIOLATION, "too much waits for a client that is away")

    def _take(self, message: m.ClientMessage | t.Cancel, text: str | bytes) -> None:
        match message:
            case m.Method() | m.Sub() | m.Unsub():
                self._check_queue(self._requests.take(message, text))
            case m.Ping() | m.Pong() if self.version == "pre1":
                self._check_queue(self._requests.refuse(BAD_REQUEST, text))
            case m.Ping():
                self._outbox.put_control(m.encode(m.Pong(message.id)))
            case m.Pong():
                self._acknowledge()
            case m.Connect():
                self._send(complaint("Already connected", text))
            case m.Disconnect():
                self.leave()
            case t.Cancel():
                pass  # no message of version 1

    def _check_queue(self, has_room: bool) -> None:
        if not has_room:
            self.close(POLICY_VIOLATION, "too many messages wait")

    def _acknowledge(self) -> None:
        """What was sent before a ping had arrived when its pong was sent.

        A pong may be of a ping before the last, if other messages came in between.
        """
        self._pongs = min(self._pongs + 1, self._pings)
        if self._proof is not None and self._pongs >= self._proof[0]:
            self._outbox.acknowledge(self._proof[1])
            self._proof = None

    def _refuse(self, text: str | bytes) -> None:
        """Answer a text that is none of the messages a client may send."""
        kind = kind_of(text, self._config.max_depth)
        if kind is None:
            self._send(m.encode(m.Error(BAD_REQUEST)))
        elif not kind:
            self._send(complaint(BAD_REQUEST, text))
        else:
            reason = MALFORMED.get(kind, BAD_REQUEST)
            self._check_queue(self._requests.refuse(reason, text))

    def _refuse_deep(self, message: m.ClientMessage | t.Cancel) -> None:
        if isinstance(message, (m.Method, m.Sub)):
            self._requests.refuse_at_once(message, MethodError(400, "Nested too deeply"))
        else:
            self._send(m.encode(m.Error(BAD_REQUEST)))


__all__ = ["ServerConfig", "ServerSession"]

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

from msgspec import UNSET

from shared.rpc.ddp import messages as m
from shared.rpc.ddp import tandem as t
from shared.rpc.ddp.blob_receiver import BlobRefused
from shared.rpc.ddp.client_link import NORMAL_CLOSURE, ClientLink
from shared.rpc.ddp.client_wire import ClientSessionConfig, extra_fields
from shared.rpc.ddp.events import (
    Closed,
    MethodProgressed,
    NegotiationEnded,
    Renegotiating,
    SessionStarted,
    SubscriptionEnded,
    SubscriptionReady,
)
from shared.rpc.ddp.frames import FrameError
from shared.rpc.ddp.local import LocalCollections
from shared.rpc.ddp.outstanding import Answer, Call, Outstanding
from shared.rpc.ddp.subscriptions import Subscriptions
from shared.rpc.ejson import Ejson
from shared.rpc.errors import MethodError

PROTOCOL_ERROR = 1002
TOO_LARGE = 1009

_TOO_LARGE = MethodError("too-large", "These are more bytes than can be taken in, or just now.")

_UNCOUNTED = frozenset({m.Ping, m.Pong})
"""Messages that are no part of a session: both ends leave them out when they count."""

_HEAD = re.compile(r'\s*\{\s*"msg"\s*:\s*"(?P<msg>[^"]+)"(?:\s*,\s*"id"\s*:\s*"(?P<id>\d+)")?')
"""How a message begins, for one that is nested too deeply to be read."""


class ClientSession(ClientLink):
    """One client: its calls, its subscriptions, its documents, its heartbeat."""

    def __init__(
        self, *, ejson: Ejson, config: ClientSessionConfig, new_id: Callable[[], str]
    ) -> None:
        """``new_id`` makes the ids of subscriptions; no two may be the same."""
        super().__init__(ejson, config)
        self.logs_in = False
        """Whether each new session begins with a login, that :meth:`logged_in` ends."""
        self.is_logged_in = False
        """Whether this session's login, if there has to be one, is over."""
        self._config = config
        self._new_id = new_id
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
        self._wire.connection_made(self._introduction.connect())

    def connection_lost(self) -> None:
        """The connection is gone; what was sent waits for the session to be resumed."""
        was_connected = self.is_connected
        self.is_connected = self._is_connecting = False
        self._deadline = None
        self._heartbeat.stop()
        self._wire.connection_lost()
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
            self._wire.leave()
        self.is_connected = self._is_connecting = False
        self._introduction.forget_session()
        self._withdraw(lambda call: keep_unsent and not call.may_have_run, reason)

    def receive(self, text: str | bytes, now: float) -> None:
        """Take in one message that arrived. Unknown ones are ignored."""
        if not (self.is_connected or self._is_connecting):
            return
        self._heartbeat.message_received()
        try:
            if isinstance(text, bytes):
                self._on_frame(text)
                return
            message = self._wire.read(text)
            if self.is_connected:
                self._on_message(message)
            else:
                self._on_answer_to_connect(message, now)
        except m.Unreadable:
            self._on_unreadable(str(text))
        except FrameError as error:
            self._end(PROTOCOL_ERROR, str(error))

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
        deadline: float | None = None,
        traceparent: str | None = None,
    ) -> str:
        """Call a method, now or once there is a connection; returns the id of its answer.

        Args:
            retry: send it again also to a server that does not know our session any more.
            wait: send it when all calls before are settled, and those after when it is.
            updated: settle it only when the documents that it changed are in.
            first: it is part of a login.
            deadline: seconds from now after which nobody waits for it, for the server to know…
            traceparent: …and what it is a part of, both if the version has words for them.

        Raises:
            EjsonError: the parameters can't be written; nothing is sent.
            ConnectionLost: too many calls wait to be sent.
        """
        method_id = str(next(self._method_ids))
        text = self._wire.method(method_id, name, params)
        call = Call(method_id, text, retry, wait, first, updated)
        if deadline is not None or traceparent is not None:
            call.extra = extra_fields(deadline, traceparent)
        outstanding = self._outstanding
        if self.is_logged_in and self.is_connected and outstanding.is_line_empty and not wait:
            outstanding.pass_by(call)
            self._wire.post(call)
        else:
            outstanding.add(call)
            self._send_calls()
        return method_id

    def may_have_run(self, method_id: str) -> bool:
        """Whether an unsettled call was sent."""
        return self._outstanding.may_have_run(method_id)

    def forget(self, method_id: str) -> None:
        """Nobody waits for this call any more: cancel it, or else ignore its answer."""
        call = self._outstanding.remove(method_id)
        if call is not None:
            self._wire.give_up(call)
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
        subscription_id = self._new_id()
        self._subscriptions.add(subscription_id, self._wire.sub(subscription_id, name, params))
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

    def _on_answer_to_connect(self, message: m.ServerMessage | t.Progress, now: float) -> None:
        match message:
            case m.Connected():
                self._on_connected(message, now)
            case m.Failed():
                self._on_failed(message)
            case m.Ping():
                self._wire.put(m.encode(m.Pong(message.id)))
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
            self._wire.agreed(version, is_resumed=True)
            self._wire.post_again(self._outstanding.unanswered())
            self._subscriptions.resume()
        else:
            self._begin_anew()
            self._wire.agreed(version, is_resumed=False)
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

    # What a server sends

    def _on_message(self, message: m.ServerMessage | t.Progress) -> None:
        if type(message) in _UNCOUNTED:
            self._on_heartbeat(message)
            return
        self._introduction.received += 1
        try:
            blobs = self._wire.claim(message)
        except BlobRefused:
            self._on_too_large(message)
            return
        match message:
            case m.Result():
                self._settled(
                    self._outstanding.answered(message, blobs, is_complete=self._local.is_complete)
                )
            case m.Updated():
                self._outstanding.updated(message.methods)
                self._arrived(message.methods)
            case m.Added() | m.AddedBefore() | m.Changed() | m.Removed():
                event = self._local.apply(message, blobs)
                if event is not None:
                    self._events.append(event)
            case m.Ready():
                self._ready_later += self._subscriptions.became_ready(message.subs)
                self._arrived(message.subs)
            case m.NoSub():
                self._on_nosub(message)
            case _:
                self._on_other(message)

    def _on_other(self, message: m.ServerMessage | t.Progress) -> None:
        match message:
            case t.Progress(method_id, done, total, note):
                self._events.append(MethodProgressed(method_id, done, total, note))
            case m.Error():
                self._on_error(message)
            case _:
                pass

    def _on_frame(self, data: bytes) -> None:
        refused = self._wire.receive(data) if self.is_connected else None
        if refused is not None:
            self._settled(self._outstanding.failed(refused.id, _TOO_LARGE))

    def _on_too_large(self, message: m.ServerMessage | t.Progress) -> None:
        if isinstance(message, m.Result):
            self._settled(self._outstanding.failed(message.id, _TOO_LARGE))
        else:
            self._end(TOO_LARGE, "a document's bytes are too large")

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
            for call in self._outstanding.release(first_only=not self.is_logged_in):
                self._wire.post(call)

    def _send_subscriptions(self) -> None:
        if self.is_connected and self.is_logged_in:
            self._wire.put(*self._subscriptions.texts_to_send())

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
        calls, answers = self._outstanding.withdraw(keep, reason)
        for call in calls:
            self._wire.give_up(call)
        self._events += answers


__all__ = ["ClientSession", "ClientSessionConfig"]

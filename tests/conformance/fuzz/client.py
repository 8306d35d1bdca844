"""Target ``client``: a client's session, whatever a server sends and whenever links break.

Each step is one thing that can happen to :class:`ClientSession`. What it sends must be
legal in its state; it says how much it has received; every call is settled once; who
follows its events must hold what it shows.
"""

import json
from collections import Counter
from itertools import count
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.client import ClientSession, ClientSessionConfig
from shared.rpc.ddp.events import (
    Closed,
    Complaint,
    DocumentEvent,
    MethodRaised,
    MethodReturned,
    NegotiationEnded,
    Renegotiating,
    SessionStarted,
    SubscriptionEnded,
    SubscriptionReady,
)
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ejson import UNDEFINED, Ejson, equals
from shared.rpc.errors import ConnectionLost, EjsonError
from shared.rpc.object_id import OBJECT_ID
from tests.conformance.fuzz.corpus import FROM_SERVER
from tests.conformance.fuzz.script import VALUES, Step, Steps, steps_of
from tests.conformance.fuzz.view_model import Seen
from tests.support.texts import only_texts

LINES: Final = [
    *(b"<" + text for text in FROM_SERVER),
    *(b"m", b"l", b"c", b"c\1\1", b"c\2\x0d", b"c\1\1\1", b"c\1\1\2", b"c\1\1\4", b"c\1\1\7"),
    *(b"f", b"f\1", b"s", b"s\1\1", b"u", b"u\1", b"k", b"K", b"r", b"r\1", b"R", b"d", b"d\1"),
    *(b"y", b"y\1", b"n", b"n\1\1", b"g", b"g\1", b"v", b"i", b"i", b"I", b"C", b"C\1\1"),
    *(b"t\x04", b"tz", b"t\xff"),
]
SEEDS: Final = [
    b"\n".join([b"m", b"s", b"k", b"y", *(b"<" + text for text in FROM_SERVER[15:])]),
    b"\n".join([b"m", b"k", b"c", b"c\1\1", b"r", b"R", b"f", b"s", b"n", b"u"]),
    b"\n".join(
        [
            *(b"m", b"k", b"s", b"s\1", b"<" + FROM_SERVER[15], b"y", b"y\1", b"c", b"l", b"m"),
            *(b"k", b"<" + FROM_SERVER[16], b"y", b"u\1", b"t\xff", b"t\xff"),
        ]
    ),
    b"\n".join(
        [b"m", b"k", b"c", b"c\1\1\3", b"c\1\1\4", b"r", b"l", b"m", b"K", b"r", b"d", b"l", b"g"]
    ),
    b"\n".join(
        [b"I", b"m", b"k", b"c", b"C", b"s", b"r", b"i", b"r", b"l", b"m", b"k", b"C", b"r", b"i"]
    ),
    b"\n".join([b"m", b"<" + FROM_SERVER[3], b"l", b"m", b"t\xff", *(b"<" + FROM_SERVER[4],)]),
]

_EJSON = Ejson([OBJECT_ID])
_CONFIG = ClientSessionConfig(
    heartbeat=HeartbeatConfig(interval=5, timeout=5), connect_timeout=30, max_queued=6
)
_COLLECTIONS: Final = ("items", "list")


def check(data: bytes) -> None:
    """Play the script that ``data`` is.

    Raises:
        AssertionError: a rule was broken.
    """
    world = _World()
    for step, arguments in steps_of(data, _STEPS):
        step(world, arguments)
        world.look()
    world.finish()


class _Call(msgspec.Struct):
    """A call that is not settled yet."""

    waits: bool
    needs_update: bool
    is_first: bool
    is_sent: bool = False
    """On this connection."""
    is_answered: bool = False
    """By a result on this session."""


class _World:
    """A session, its application, and a link that can break."""

    def __init__(self) -> None:
        self.now = 0.0
        new_id = map("s{}".format, count(1)).__next__
        self.session = ClientSession(ejson=_EJSON, config=_CONFIG, new_id=new_id)
        self.is_linked = self.is_welcome = False
        self.sent: Counter[str] = Counter()
        self.calls: dict[str, _Call] = {}
        self.subscriptions: list[str] = []
        self.had: set[str] = set()  # subscriptions
        self.session_id: str | None = None
        self.received: int | None = 0  # None: of a text that is none, both may think differently
        self.numbers = count(1)
        self.seen = Seen()

    # Steps

    def receive(self, step: Step) -> None:
        text = step.text
        if self.is_linked:
            self._count(text)
        self.session.receive(text, self.now)

    def make_connection(self, step: Step) -> None:
        if not self.is_linked:
            self.is_linked, self.is_welcome = True, False
            self.sent.clear()
            self.session.connection_made(self.now)

    def lose_connection(self, step: Step) -> None:
        if self.is_linked:
            self.is_linked = self.is_welcome = False
            self.session.connection_lost()
            for call in self.calls.values():
                call.is_sent = False

    def give_up(self, step: Step) -> None:
        if not self.is_linked:
            self.session.give_up("too long", keep_unsent=bool(step.number() % 2))

    def leave(self, step: Step) -> None:
        self.session.leave("enough", keep_unsent=bool(step.number() % 2))
        self.look()
        self.session_id = None
        self.lose_connection(step)

    def welcome(self, step: Step) -> None:
        self._receive(m.Connected(f"S{next(self.numbers)}"))

    def resume(self, step: Step) -> None:
        self._receive(m.Connected(self.session_id or "S0"))

    def log_in_first(self, step: Step) -> None:
        self.session.logs_in = True

    def logged_in(self, step: Step) -> None:
        if self.session.is_connected and not self.session.is_logged_in:
            self.session.logged_in()

    def call(self, step: Step) -> None:
        self._call(step, is_first=False)

    def call_first(self, step: Step) -> None:
        if self.session.is_connected and not self.session.is_logged_in:
            self._call(step, is_first=True)

    def _call(self, step: Step, *, is_first: bool) -> None:
        params, options = [step.one_of(VALUES), step.one_of(VALUES)], step.number()
        retry, waits, needs_update = (bool(options & bit) for bit in (1, 2, 4))
        try:
            call_id = self.session.call(
                "echo", params, retry=retry, wait=waits, updated=needs_update, first=is_first
            )
        except (EjsonError, ConnectionLost):
            return
        assert call_id not in self.calls
        self.calls[call_id] = _Call(waits, needs_update, is_first)

    def forget(self, step: Step) -> None:
        if self.calls:
            call_id = step.one_of(list(self.calls))
            del self.calls[call_id]
            self.session.forget(call_id)

    def subscribe(self, step: Step) -> None:
        try:
            subscription_id = self.session.subscribe("items", [step.one_of(VALUES)])
        except EjsonError:
            return
        assert subscription_id not in self.subscriptions
        self.subscriptions.append(subscription_id)
        self.had.add(subscription_id)

    def unsubscribe(self, step: Step) -> None:
        if self.subscriptions:
            self.session.unsubscribe(step.one_of(self.subscriptions))

    def get_result(self, step: Step) -> None:
        self._settle(step, result=Raw(b'{"$date":1}'))

    def get_error(self, step: Step) -> None:
        self._settle(step, error=Raw(b'{"error":5}'))

    def get_ready(self, step: Step) -> None:
        if self.subscriptions:
            self._receive(m.Ready([step.one_of(self.subscriptions)]))

    def get_nosub(self, step: Step) -> None:
        if self.subscriptions:
            name = step.one_of(self.subscriptions)
            self._receive(m.NoSub(name, Raw(b'{"error":"x"}') if step.number() % 2 else UNSET))
            self.look()
            assert not self.is_welcome or name not in self.subscriptions

    def get_updated(self, step: Step) -> None:
        if self.calls:
            self._receive(m.Updated([step.one_of(list(self.calls))]))

    def wait(self, step: Step) -> None:
        self.now += step.seconds()
        for _ in range(3):
            due = self.session.next_timer()
            if due is None or due > self.now:
                return
            self.session.handle_timer(self.now)
        due = self.session.next_timer()
        assert due is None or due > self.now, "a timer that is always due"

    # What must hold

    def look(self) -> None:
        """Act on events, read what is sent, and compare."""
        for event in self.session.events():
            self._act(event)
        texts = only_texts(self.session.texts_to_send())
        assert self.is_linked or not texts, "texts without a connection"
        for text in texts:
            self._hear(text)
        shown = {
            (collection, document_id): fields
            for collection in _COLLECTIONS
            for document_id, fields in self.session.documents(collection).items()
        }
        seen = {key: doc for key, doc in self.seen.documents.items() if key[0] in _COLLECTIONS}
        assert equals(seen, shown), (seen, shown)

    def finish(self) -> None:
        """Leave for good: nothing must stay open."""
        self.leave(Step(b""))
        self.look()
        assert not self.calls, "calls that nobody settles"
        for subscription_id in list(self.subscriptions):
            self.session.unsubscribe(subscription_id)
        self.look()
        assert not self.subscriptions, "a subscription that does not end"
        assert self.session.next_timer() is None

    # Inside

    def _settle(self, step: Step, **answer: Raw) -> None:
        if self.calls:
            call_id = step.one_of(list(self.calls))
            call = self.calls[call_id]
            call.is_answered |= call.is_sent
            self._receive(m.Result(call_id, **answer))
            self.look()
            if call.is_sent and not call.needs_update:
                assert call_id not in self.calls

    def _receive(self, message: m.ServerMessage) -> None:
        self.receive(Step(b"<" + m.encode(message)))

    def _count(self, text: str | bytes) -> None:
        """Count along, as long as it is clear what counts."""
        try:
            message = None if isinstance(text, bytes) else m.decode_from_server(text)
        except m.Unreadable:
            self.received = None
            return
        if message is None or not (self.is_welcome or isinstance(message, m.Connected)):
            return
        if isinstance(message, m.Connected) and not self.is_welcome:
            is_known = message.session == self.session_id
            self.session_id, self.is_welcome = message.session, True
            if not is_known:
                self.received = 0
                for call in self.calls.values():
                    call.is_answered = False
        if self.received is not None and not isinstance(message, (m.Ping, m.Pong)):
            self.received += 1

    def _act(self, event: Any) -> None:
        match event:
            case MethodReturned(call_id, _):
                del self.calls[call_id]
            case MethodRaised(call_id, _):
                del self.calls[call_id]
            case SubscriptionEnded(subscription_id, _):
                if subscription_id in self.subscriptions:  # a server may end what nobody has
                    self.subscriptions.remove(subscription_id)
            case SubscriptionReady(subscription_id):
                assert subscription_id in self.had
            case DocumentEvent():
                self._see(event)
            case Closed():
                pass
            case SessionStarted() | NegotiationEnded() | Renegotiating() | Complaint():
                assert self.is_linked
            case _:
                raise AssertionError(f"not an event of a client: {event}")

    def _see(self, event: DocumentEvent) -> None:
        fields = {n: value for n, value in event.fields.items() if value is not UNDEFINED}
        cleared = [name for name in event.fields if name not in fields]
        key = event.collection, event.id
        if event.kind == "changed":  # a server's word, however silly, is passed on
            known = self.seen.documents[key]
            cleared = [name for name in cleared if name in known]
            if not fields and not cleared:
                return
        self.seen.apply(event.kind, event.collection, event.id, fields, cleared)

    def _hear(self, text: bytes) -> None:
        json.loads(text)
        message = m.decode_from_client(text)
        kind = type(message).__name__
        if isinstance(message, m.Connect):
            assert not self.sent, "connect is the first, and comes once"
            self._check_offer(message)
        else:
            assert self.sent["Connect"], f"{kind} before connect"
            assert isinstance(message, (m.Ping, m.Pong, m.Disconnect)) or self.is_welcome
        if isinstance(message, m.Method):
            self._check_turn(message)
        if isinstance(message, m.Sub):
            assert self.session.is_logged_in, "a subscription before the login"
        self.sent[kind] += 1

    def _check_offer(self, message: m.Connect) -> None:
        if message.session is UNSET:  # it may give up a session that is of no use
            assert message.received_count is UNSET
            self.session_id = None
        else:
            assert message.session == self.session_id
            assert self.received in (None, message.received_count)

    def _check_turn(self, message: m.Method) -> None:
        call = self.calls.get(message.id)
        if call is None:
            return  # it was sent, and is settled already
        assert not call.is_sent, "sent twice on one connection"
        call.is_sent = True
        assert self.session.is_logged_in or call.is_first, "before the login"


_STEPS: Steps = {
    ord("<"): _World.receive,
    ord("m"): _World.make_connection,
    ord("l"): _World.lose_connection,
    ord("g"): _World.give_up,
    ord("v"): _World.leave,
    ord("k"): _World.welcome,
    ord("K"): _World.resume,
    ord("I"): _World.log_in_first,
    ord("i"): _World.logged_in,
    ord("C"): _World.call_first,
    ord("d"): _World.get_updated,
    ord("c"): _World.call,
    ord("f"): _World.forget,
    ord("s"): _World.subscribe,
    ord("u"): _World.unsubscribe,
    ord("r"): _World.get_result,
    ord("R"): _World.get_error,
    ord("y"): _World.get_ready,
    ord("n"): _World.get_nosub,
    ord("t"): _World.wait,
}

"""Target ``client``: a client's session, whatever a server sends and whenever links break.

Each step is one thing that can happen to :class:`ClientSession`. What it sends must be
legal in its state; every call is settled once; who follows its events must hold what it
shows.
"""

import json
from collections import Counter
from typing import Any, Final

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
    SessionStarted,
    SubscriptionEnded,
    SubscriptionReady,
)
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ejson import UNDEFINED, Ejson, equals
from shared.rpc.errors import EjsonError
from shared.rpc.object_id import OBJECT_ID
from tests.conformance.fuzz.corpus import FROM_SERVER
from tests.conformance.fuzz.script import VALUES, Step, Steps, steps_of
from tests.conformance.fuzz.view_model import Seen

LINES: Final = [
    *(b"<" + text for text in FROM_SERVER),
    *(b"m", b"l", b"c", b"c\1\1", b"c\2\x0d", b"f", b"f\1", b"s", b"s\1\1", b"u", b"u\1"),
    *(b"k", b"r", b"r\1", b"R", b"y", b"y\1", b"n", b"n\1\1", b"t\x04", b"tz", b"t\xff"),
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
    b"\n".join([b"m", b"<" + FROM_SERVER[3], b"l", b"m", b"t\xff", *(b"<" + FROM_SERVER[4],)]),
]

_EJSON = Ejson([OBJECT_ID])
_CONFIG = ClientSessionConfig(heartbeat=HeartbeatConfig(interval=5, timeout=5), connect_timeout=30)
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


class _World:
    """A session, its application, and a link that can break."""

    def __init__(self) -> None:
        self.now = 0.0
        self.session = ClientSession(ejson=_EJSON, config=_CONFIG)
        self.is_linked = self.is_closing = False
        self.sent: Counter[str] = Counter()
        self.calls: list[str] = []
        self.subscriptions: list[str] = []
        self.seen = Seen()

    # Steps

    def receive(self, step: Step) -> None:
        self.session.receive(step.text, self.now)

    def make_connection(self, step: Step) -> None:
        if not self.is_linked:
            self.is_linked, self.is_closing = True, False
            self.sent.clear()
            self.session.connection_made(self.now)

    def lose_connection(self, step: Step) -> None:
        if self.is_linked:
            self.is_linked = False
            lost = self.session.connection_lost()
            assert sorted(lost) == sorted(self.calls), "calls that nobody settles"
            self.calls.clear()

    def welcome(self, step: Step) -> None:
        self._receive(m.Connected("S"))

    def call(self, step: Step) -> None:
        if self.session.is_connected:
            try:
                call_id = self.session.call("echo", [step.one_of(VALUES), step.one_of(VALUES)])
            except EjsonError:
                return
            assert call_id not in self.calls
            self.calls.append(call_id)

    def forget(self, step: Step) -> None:
        if self.calls:
            call_id = step.one_of(self.calls)
            self.calls.remove(call_id)
            self.session.forget(call_id)

    def subscribe(self, step: Step) -> None:
        try:
            subscription_id = self.session.subscribe("items", [step.one_of(VALUES)])
        except EjsonError:
            return
        assert subscription_id not in self.subscriptions
        self.subscriptions.append(subscription_id)

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
            assert not self.is_linked or name not in self.subscriptions

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
        texts = self.session.texts_to_send()
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
        """Lose the connection for good: nothing must stay open."""
        step = Step(b"")
        self.lose_connection(step)
        self.look()
        for subscription_id in list(self.subscriptions):
            self.session.unsubscribe(subscription_id)
        self.look()
        assert not self.subscriptions, "a subscription that does not end"
        assert self.session.next_timer() is None

    # Inside

    def _settle(self, step: Step, **answer: Raw) -> None:
        if self.calls:
            call_id = step.one_of(self.calls)
            self._receive(m.Result(call_id, **answer))
            self.look()
            assert call_id not in self.calls

    def _receive(self, message: m.ServerMessage) -> None:
        self.session.receive(m.encode(message).decode(), self.now)

    def _act(self, event: Any) -> None:
        match event:
            case MethodReturned(call_id, _) | MethodRaised(call_id, _):
                self.calls.remove(call_id)
            case SubscriptionEnded(subscription_id, _):
                if subscription_id in self.subscriptions:  # a server may end what nobody has
                    self.subscriptions.remove(subscription_id)
            case SubscriptionReady(subscription_id):
                assert subscription_id in self.subscriptions
            case DocumentEvent():
                self._see(event)
            case Closed():
                self.is_closing = True
            case SessionStarted() | NegotiationEnded() | Complaint():
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
        else:
            assert self.sent["Connect"], f"{kind} before connect"
            assert isinstance(message, (m.Ping, m.Pong)) or self.session.is_connected
        self.sent[kind] += 1


_STEPS: Steps = {
    ord("<"): _World.receive,
    ord("m"): _World.make_connection,
    ord("l"): _World.lose_connection,
    ord("k"): _World.welcome,
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

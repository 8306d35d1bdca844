"""Target ``link``: a client and a server, whose link delivers late, in pieces, or breaks.

The script says who acts when and what arrives when. Whatever the interleaving: no method
runs twice, every call is settled, and in the end the client's documents are the server's.
"""

from collections import Counter, deque
from typing import Any, Final

import msgspec

from shared.rpc.ddp.client import ClientSession, ClientSessionConfig
from shared.rpc.ddp.events import (
    Closed,
    DocumentEvent,
    MethodCalled,
    MethodRaised,
    MethodReturned,
    Subscribed,
    SubscriptionEnded,
    Unsubscribed,
)
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ddp.server import ServerConfig, ServerSession
from shared.rpc.ejson import UNDEFINED, Ejson, equals
from shared.rpc.errors import MethodError
from tests.conformance.fuzz.script import DOCUMENT_IDS, FIELDS, VALUES, Step, Steps, steps_of

LINES: Final = [
    *(b"c", b"c", b"s", b"s\1", b"u", b"u\1", b"o", b"x", b"t\x04", b"t\x50", b"t\xff"),
    *(b">", b">\1", b">\3", b"<", b"<\1", b"<\3", b">\x20", b"<\x20", b"h", b"h\1", b"f", b"b"),
    *(b"p\0\1\0\0", b"p\1\1\2\1", b"p\2\2\1\3\2\2", b"p\0\1\1\2", b"z\0", b"z\1", b"z\2"),
]
SEEDS: Final = [
    b"\n".join([b"s", b">\x20", b"<\x20", b"p\0\1\0\0", b"c", b">\2", b"h", b"<\x20", b"z", b"u"]),
    b"\n".join([b"c", b"s", b"s\1", b"c", b">\1", b"x", b"o", b">\4", b"p\1\1\0\3", b"x", b"o"]),
    b"\n".join([b"t\x50", b"<\1", b"p\0\1\0\0", b">\3", b"c", b"c", b"c", b">\x20", b"b", b"h\1"]),
]

_EJSON = Ejson()
_BEAT = HeartbeatConfig(interval=60, timeout=60)
_SERVER = ServerConfig(heartbeat=_BEAT)
_CLIENT = ClientSessionConfig(heartbeat=_BEAT)
_FULL = 1000
_STORED: Final = VALUES[:-2]


def check(data: bytes) -> None:
    """Play the script that ``data`` is.

    Raises:
        AssertionError: the two ends don't agree.
    """
    world = _World()
    world.connect(Step(b""))
    for step, arguments in steps_of(data, _STEPS):
        step(world, arguments)
        world.look()
    world.finish()


class _Connection(msgspec.Struct):
    """What is under way between the two ends, and the server's end of it."""

    session: ServerSession
    up: deque[bytes]
    down: deque[bytes]
    calls: list[MethodCalled] = []
    subs: list[Subscribed] = []
    publishers: list[Subscribed] = []
    is_closed: bool = False


class _World:
    def __init__(self) -> None:
        self.now = 0.0
        self.sessions = 0
        self.client = ClientSession(ejson=_EJSON, config=_CLIENT)
        self.link: _Connection | None = None
        self.stored: dict[str, dict[str, Any]] = {}
        self.numbers = 0
        self.calls: dict[str, int] = {}
        self.ran: Counter[int] = Counter()
        self.subscriptions: dict[str, int] = {}
        self.shown: dict[Any, dict[str, Any]] = {}

    # Steps of the client's application

    def call(self, step: Step) -> None:
        if self.client.is_connected:
            self.numbers += 1
            self.calls[self.client.call("echo", [self.numbers])] = self.numbers

    def subscribe(self, step: Step) -> None:
        part = step.number() % 2
        self.subscriptions[self.client.subscribe("items", [part])] = part

    def unsubscribe(self, step: Step) -> None:
        if self.subscriptions:
            self.client.unsubscribe(step.one_of(list(self.subscriptions)))

    # Steps of the server's application

    def change(self, step: Step) -> None:
        """Store a document; every subscription that sees it is told."""
        document_id = step.one_of(DOCUMENT_IDS)
        fields = {step.one_of(FIELDS[:2]): step.one_of(_STORED) for _ in range(step.number() % 3)}
        new = document_id not in self.stored
        gone = dict.fromkeys(set(self.stored.get(document_id, {})) - set(fields), UNDEFINED)
        self.stored[document_id] = fields
        for sub in self._seeing(document_id):
            view = self._view
            if new:
                view.added(sub, "items", document_id, fields)
            else:
                view.changed(sub, "items", document_id, fields | gone)

    def remove(self, step: Step) -> None:
        document_id = step.one_of(DOCUMENT_IDS)
        if self.stored.pop(document_id, None) is not None:
            for sub in self._seeing(document_id):
                self._view.removed(sub, "items", document_id)

    def let_return(self, step: Step) -> None:
        if self.link is not None and self.link.calls:
            call = self.link.calls.pop(step.number() % len(self.link.calls))
            self.link.session.method_done(call, call.params)

    def let_fail(self, step: Step) -> None:
        if self.link is not None and self.link.calls:
            call = self.link.calls.pop(step.number() % len(self.link.calls))
            self.link.session.method_failed(call, MethodError("no", "", call.params))

    def unblock(self, step: Step) -> None:
        if self.link is not None and self.link.calls:
            self.link.session.unblock(step.one_of(self.link.calls))

    # Steps of the link

    def connect(self, step: Step) -> None:
        if self.link is None:
            self.sessions += 1
            session = ServerSession(
                f"S{self.sessions}",
                methods={"echo"},
                publications={"items"},
                ejson=_EJSON,
                config=_SERVER,
                now=self.now,
            )
            self.link = _Connection(session, deque(), deque())
            self.client.connection_made(self.now)

    def cut(self, step: Step) -> None:
        """What is under way is lost, in both directions."""
        if self.link is not None:
            self.link = None
            for call_id in self.client.connection_lost():
                del self.calls[call_id]

    def deliver_up(self, step: Step) -> None:
        for _ in range(step.number()):
            if self.link is None or not self.link.up:
                return
            self.link.session.receive(self.link.up.popleft().decode(), self.now)
            self.look()

    def deliver_down(self, step: Step) -> None:
        for _ in range(step.number()):
            if self.link is None or not self.link.down:
                return
            self.client.receive(self.link.down.popleft().decode(), self.now)
            self.look()

    def wait(self, step: Step) -> None:
        self.now += step.seconds()
        ends: list[ClientSession | ServerSession] = [self.client]
        if self.link is not None:
            ends.append(self.link.session)
        for end in ends:
            due = end.next_timer()
            if due is not None and due <= self.now:
                end.handle_timer(self.now)

    # What must hold

    def look(self) -> None:
        """Act on the events of both ends, and put what they send on the link."""
        link = self.link
        if link is not None:
            for event in link.session.events():
                self._act_for_server(link, event)
            link.down.extend(link.session.texts_to_send())
        for client_event in self.client.events():
            self._act_for_client(client_event)
        texts = self.client.texts_to_send()
        if self.link is not None:
            self.link.up.extend(texts)
        elif link is None:
            assert not texts

    def finish(self) -> None:
        """Repair the link, let everything arrive: then both ends must agree."""
        every, first = Step(b"*\xff"), Step(b"")
        for _ in range(_FULL):
            self.connect(first)
            self.look()
            link = self.link
            if link is None or not (link.up or link.down or link.calls):
                break
            for step in (_World.deliver_up, _World.let_return, _World.deliver_down):
                step(self, every)
                every = Step(b"*\xff")
                self.look()
        assert not self.calls, f"calls that nobody settles: {self.calls}"
        assert max(self.ran.values(), default=1) == 1, "a method ran twice"
        expected = {
            document_id: fields
            for document_id, fields in self.stored.items()
            if _part(document_id) in self.subscriptions.values()
        }
        documents = self.client.documents("items")
        assert equals(dict(documents), expected), (documents, expected)
        assert equals(self.shown, expected)

    # Inside

    @property
    def _view(self) -> Any:
        assert self.link is not None
        return self.link.session.view

    def _seeing(self, document_id: str) -> list[Subscribed]:
        subs = [] if self.link is None else self.link.subs
        return [sub for sub in subs if sub.params == [_part(document_id)]]

    def _act_for_server(self, link: _Connection, event: Any) -> None:
        match event:
            case MethodCalled():
                self.ran[event.params[0]] += 1
                link.calls.append(event)
            case Subscribed():
                link.subs.append(event)
                for document_id, fields in self.stored.items():
                    if [_part(document_id)] == event.params:
                        link.session.view.added(event, "items", document_id, fields)
                link.session.view.ready(event)
                link.session.unblock(event)
                for following in link.session.events():
                    self._act_for_server(link, following)
            case Unsubscribed():
                link.subs.remove(event.subscription)
            case Closed():
                self.cut(Step(b""))

    def _act_for_client(self, event: Any) -> None:
        match event:
            case MethodReturned():
                assert event.result == [self.calls.pop(event.id)]
            case MethodRaised():
                assert isinstance(event.error, MethodError)
                assert event.error.details == [self.calls.pop(event.id)]
            case SubscriptionEnded():
                del self.subscriptions[event.id]
            case DocumentEvent():
                self._show(event)
            case Closed():
                self.cut(Step(b""))

    def _show(self, event: DocumentEvent) -> None:
        assert (event.id in self.shown) == (event.kind != "added"), event
        if event.kind == "removed":
            del self.shown[event.id]
            return
        document = self.shown.setdefault(event.id, {})
        document |= event.fields
        for name in [name for name, value in document.items() if value is UNDEFINED]:
            del document[name]


def _part(document_id: str) -> int:
    """Which of the two publications' parameters shows this document."""
    return DOCUMENT_IDS.index(document_id) % 2


_STEPS: Steps = {
    ord("c"): _World.call,
    ord("s"): _World.subscribe,
    ord("u"): _World.unsubscribe,
    ord("p"): _World.change,
    ord("z"): _World.remove,
    ord("h"): _World.let_return,
    ord("f"): _World.let_fail,
    ord("b"): _World.unblock,
    ord("o"): _World.connect,
    ord("x"): _World.cut,
    ord(">"): _World.deliver_up,
    ord("<"): _World.deliver_down,
    ord("t"): _World.wait,
}

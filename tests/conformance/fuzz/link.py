"""Target ``link``: a client and a server, whose link delivers late, in pieces, or breaks.

The script says who acts when, what arrives when, and who notices a drop when. Whatever the
interleaving: no method runs twice, every call is settled and knows whether it may have run,
nothing is lost or told twice, and in the end the client's documents are the server's.
"""

from collections import Counter
from itertools import count
from typing import Any, Final

import msgspec

from shared.rpc.ddp.client import ClientSession, ClientSessionConfig
from shared.rpc.ddp.events import (
    Closed,
    DocumentEvent,
    MethodRaised,
    MethodReturned,
    SessionStarted,
    SubscriptionEnded,
)
from shared.rpc.ejson import UNDEFINED, Ejson, equals
from shared.rpc.errors import ConnectionLost, MethodError
from tests.conformance.fuzz.backend import HEARTBEAT, Backend, Link, part_of
from tests.conformance.fuzz.script import Step, Steps, steps_of
from tests.support.texts import only_texts

LINES: Final = [
    *(b"c", b"c\1", b"c\2", b"c\4", b"s", b"s\1", b"u", b"u\1", b"t\x04", b"t\x50", b"t\xff"),
    *(b">", b">\1", b">\3", b"<", b"<\1", b"<\3", b">\x20", b"<\x20", b">\x20", b"<\x20"),
    *(b"o", b"o", b"o", b"x", b"x", b"X", b"D", b")\1", b"h", b"h\1", b"f", b"b", b"b", b"B"),
    *(b"g", b"g\1", b"e", b"w", b"w", b"W"),
    *(b"p\0\1\0\0", b"p\1\1\2\1", b"p\2\2\1\3\2\2", b"p\0\1\1\2", b"z\0", b"z\1", b"z\2"),
]
_UP: Final = [b">\x20", b"<\x20"]
SEEDS: Final = [
    b"\n".join(
        [*_UP, b"s", b">\x20", b"<\x20", b"p\0\1\0\0", b"c", b">\2", b"h", *_UP, b"z", b"u"]
    ),
    b"\n".join([*_UP, b"s", b"s\1", b"c", b">\1", b"x", b"o", b">\4", b"p\1\1\0\3", b"x", b"o"]),
    b"\n".join([*_UP, b"c", b"b", b"c", *_UP, b"h", b"x", b"h", b"o", *_UP, b"c\1", b"X", b"o"]),
    b"\n".join([*_UP, *([b"c\1", b"s", b"X", b"p\0\1\0\0", b"o", b">\1", b")\3", b"<\1"] * 5)]),
    b"\n".join([*_UP, b"c", b"c\1", b"c\2", *_UP, b"X", b"e", b"o", *_UP, b"h", b"B", b"o", *_UP]),
    b"\n".join([*_UP, b"c\4", b"c\6", *_UP, b"w", b"h", *_UP, b"x", b"o", *_UP, b"W", *_UP, b"h"]),
    b"\n".join([*_UP, b"s", b"p\0\1\0\0", *_UP, *_UP, b"e", b"z\0", b"o", *_UP, *_UP]),
    b"\n".join([b"t\x50", b"<\1", b"p\0\1\0\0", b">\3", b"c", b"c", b"c", b">\x20", b"b", b"h\1"]),
]

_EJSON = Ejson()
_CLIENT = ClientSessionConfig(heartbeat=HEARTBEAT)
_VAIN: Final = 3
"""So many drops may make a client give up its session."""
_FULL = 1000


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


class _Call(msgspec.Struct):
    number: int
    retry: bool


class _World:
    def __init__(self) -> None:
        self.now = 0.0
        new_id = map("s{}".format, count(1)).__next__
        self.client = ClientSession(ejson=_EJSON, config=_CLIENT, new_id=new_id)
        self.backend = Backend()
        self.link: Link | None = None  # the client's
        self.drops = self.numbers = 0
        self.has_given_up = False
        self.calls: dict[str, _Call] = {}
        self.retries: set[int] = set()
        self.never_sent: set[int] = set()
        self.subscriptions: dict[str, int] = {}
        self.shown: dict[Any, dict[str, Any]] = {}

    # Steps of the client's application

    def call(self, step: Step) -> None:
        options = step.number()
        retry, waits, needs_update = (bool(options & bit) for bit in (1, 2, 4))
        self.numbers += 1
        call_id = self.client.call(
            "echo", [self.numbers], retry=retry, wait=waits, updated=needs_update
        )
        self.calls[call_id] = _Call(self.numbers, retry)
        if retry:
            self.retries.add(self.numbers)

    def subscribe(self, step: Step) -> None:
        part = step.number() % 2
        self.subscriptions[self.client.subscribe("items", [part])] = part

    def unsubscribe(self, step: Step) -> None:
        if self.subscriptions:
            self.client.unsubscribe(step.one_of(list(self.subscriptions)))

    def give_up(self, step: Step) -> None:
        if self.link is None:
            self.has_given_up = True
            self.client.give_up("too long", keep_unsent=bool(step.number() % 2))

    # Steps of the link

    def connect(self, step: Step) -> None:
        if self.link is None:
            self.link = Link()
            self.client.connection_made(self.now)

    def cut(self, step: Step) -> None:
        """Both ends notice at once; what is under way is lost, in both directions."""
        link = self.link
        self.cut_here(step)
        if link is not None and self.backend.is_served(link):
            self.backend.cut()

    def cut_here(self, step: Step) -> None:
        """Only the client notices."""
        if self.link is not None:
            self.link.down.clear()
            self.link = None
            self.drops += 1
            self.client.connection_lost()

    def cut_there(self, step: Step) -> None:
        """Only the server notices."""
        self.backend.cut()

    def deliver_up(self, step: Step) -> None:
        self._deliver_up(self.link, step.number())

    def deliver_late(self, step: Step) -> None:
        """What was under way when the client gave up its connection."""
        served = self.backend.served
        self._deliver_up(served.link if served else None, step.number())

    def deliver_down(self, step: Step) -> None:
        for _ in range(step.number()):
            if self.link is None or not self.link.down:
                return
            self.client.receive(self.link.down.popleft().decode(), self.now)
            self.look()

    def wait(self, step: Step) -> None:
        self.now += step.seconds()
        self.backend.wait(self.now)
        due = self.client.next_timer()
        if due is not None and due <= self.now:
            self.client.handle_timer(self.now)

    # What must hold

    def look(self) -> None:
        """Act on the events of both ends, and put what they send on the link."""
        self.backend.act()
        if self.link is not None and self.link.is_closed:
            self.cut_here(Step(b""))
        for client_event in self.client.events():
            self._act(client_event)
        texts = only_texts(self.client.texts_to_send())
        assert self.link is not None or not texts
        if self.link is not None:
            self.link.up.extend(texts)
        assert equals(dict(self.client.documents("items")), self.shown)

    def finish(self) -> None:
        """Repair the link, let everything arrive: then both ends must agree."""
        backend, every, first = self.backend, b"*\xff", Step(b"")
        for _ in range(_FULL):
            if self.link and not self.link.is_new and not self.backend.is_served(self.link):
                self.cut_here(first)
            self.connect(first)
            self.look()
            for step in (self.deliver_up, backend.let_return, self.deliver_down, backend.end_write):
                step(Step(every))
                self.look()
            if self.link and not (self.link.up or self.link.down or backend.is_busy):
                break
        assert not self.calls, f"calls that nobody settles: {self.calls}"
        self._check_runs()
        expected = {
            document_id: fields
            for document_id, fields in backend.stored.items()
            if part_of(document_id) in self.subscriptions.values()
        }
        documents = self.client.documents("items")
        assert equals(dict(documents), expected), (documents, expected)

    def _check_runs(self) -> None:
        assert max(self.backend.ran.values(), default=1) == 1, "a method ran twice"
        times = Counter(number for number, _life in self.backend.ran)
        for number, lives in times.items():
            assert lives == 1 or number in self.retries, "ran twice, after a restart"
            assert number not in self.never_sent, "ran, though it was said that it could not"

    # Inside

    def _deliver_up(self, link: Link | None, most: int) -> None:
        for _ in range(most):
            if link is None or not link.up:
                return
            self.backend.receive(link)
            self.look()

    def _act(self, event: Any) -> None:
        match event:
            case MethodReturned():
                assert event.result == [self.calls.pop(event.id).number]
            case MethodRaised():
                self._raised(self.calls.pop(event.id), event.error)
            case SessionStarted():
                assert not event.is_resumed or self.backend.served is not None
            case SubscriptionEnded():
                self.subscriptions.pop(event.id, None)  # twice, if a drop came before the nosub
            case DocumentEvent():
                self._show(event)
            case Closed():
                self.cut_here(Step(b""))

    def _raised(self, call: _Call, error: Exception) -> None:
        has_run = any(number == call.number for number, _life in self.backend.ran)
        if isinstance(error, ConnectionLost):
            assert self.backend.sessions > 1 or self.has_given_up or self.drops >= _VAIN, (
                "lost for nothing"
            )
            if not error.may_have_run:
                assert not has_run
                self.never_sent.add(call.number)
        else:
            assert isinstance(error, MethodError)
            assert has_run
            assert error.error == "interrupted" or error.details == [call.number]

    def _show(self, event: DocumentEvent) -> None:
        assert (event.id in self.shown) == (event.kind != "added"), event
        if event.kind == "removed":
            del self.shown[event.id]
            return
        document = self.shown.setdefault(event.id, {})
        document |= event.fields
        for name in [name for name, value in document.items() if value is UNDEFINED]:
            del document[name]


def _of_backend(name: str) -> Any:
    def step(world: _World, step: Step) -> None:
        getattr(world.backend, name)(step)

    return step


_STEPS: Steps = {
    ord("c"): _World.call,
    ord("s"): _World.subscribe,
    ord("u"): _World.unsubscribe,
    ord("g"): _World.give_up,
    ord("p"): _of_backend("change"),
    ord("z"): _of_backend("remove"),
    ord("h"): _of_backend("let_return"),
    ord("f"): _of_backend("let_fail"),
    ord("b"): _of_backend("unblock"),
    ord("w"): _of_backend("begin_write"),
    ord("W"): _of_backend("end_write"),
    ord("e"): _of_backend("end_session"),
    ord("B"): _of_backend("restart"),
    ord("o"): _World.connect,
    ord("x"): _World.cut,
    ord("X"): _World.cut_here,
    ord("D"): _World.cut_there,
    ord(">"): _World.deliver_up,
    ord(")"): _World.deliver_late,
    ord("<"): _World.deliver_down,
    ord("t"): _World.wait,
}

"""Target ``link``: a client and a server, whose link delivers late, in pieces, or breaks.

The script says who acts when, what arrives when, and who notices a drop when. Whatever the
interleaving: no method runs twice, every call is settled and knows whether it may have run,
nothing is lost or told twice, and in the end the client's documents are the server's.
"""

from collections import Counter, deque
from itertools import count
from typing import Any, Final

import msgspec

from shared.rpc.ddp.client import ClientSession, ClientSessionConfig
from shared.rpc.ddp.events import (
    Closed,
    DocumentEvent,
    Dropped,
    MethodCalled,
    MethodRaised,
    MethodReturned,
    SessionStarted,
    Subscribed,
    SubscriptionEnded,
    Unsubscribed,
)
from shared.rpc.ddp.handshake import Greeting, read_greeting
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ddp.remembered import Remembered
from shared.rpc.ddp.server import ServerConfig, ServerSession
from shared.rpc.ejson import UNDEFINED, Ejson, equals
from shared.rpc.errors import ConnectionLost, MethodError
from tests.conformance.fuzz.reader import Numbered
from tests.conformance.fuzz.script import DOCUMENT_IDS, FIELDS, VALUES, Step, Steps, steps_of

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
_BEAT = HeartbeatConfig(interval=60, timeout=60)
_SERVER = ServerConfig(heartbeat=_BEAT, resume_timeout=15, replay_bytes=4_000)
_SECONDS_TO_MISS: Final = 135.0
_CLIENT = ClientSessionConfig(heartbeat=_BEAT)
_VAIN: Final = 3
"""So many drops may make a client give up its session."""
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


class _Link(msgspec.Struct, eq=False):
    """A connection; each end notices by itself that it has gone."""

    up: deque[bytes] = msgspec.field(default_factory=deque)
    down: deque[bytes] = msgspec.field(default_factory=deque)
    is_new: bool = True
    """Whether the server has not been greeted on it."""


class _Served(msgspec.Struct, eq=False):
    """A session at the server, and its handlers."""

    session: ServerSession
    numbered: Numbered
    link: _Link | None
    lost_at: float = 0.0
    calls: list[MethodCalled] = msgspec.field(default_factory=list)
    writes: list[MethodCalled] = msgspec.field(default_factory=list)
    subs: list[Subscribed] = msgspec.field(default_factory=list)


class _Call(msgspec.Struct):
    number: int
    retry: bool


class _World:
    def __init__(self) -> None:
        self.now = 0.0
        new_id = map("s{}".format, count(1)).__next__
        self.client = ClientSession(ejson=_EJSON, config=_CLIENT, new_id=new_id)
        self.link: _Link | None = None  # the client's
        self.served: _Served | None = None
        self.legacies: dict[str, Remembered] = {}
        self.sessions = self.drops = self.lives = 0
        self.has_given_up = False
        self.stored: dict[str, dict[str, Any]] = {}
        self.numbers = 0
        self.calls: dict[str, _Call] = {}
        self.retries: set[int] = set()
        self.never_sent: set[int] = set()
        self.ran: Counter[tuple[int, int]] = Counter()  # per life of the server
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

    # Steps of the server's application

    def change(self, step: Step) -> None:
        """Store a document; every subscription that sees it is told."""
        document_id = step.one_of(DOCUMENT_IDS)
        fields = {step.one_of(FIELDS[:2]): step.one_of(_STORED) for _ in range(step.number() % 3)}
        new = document_id not in self.stored
        gone = dict.fromkeys(set(self.stored.get(document_id, {})) - set(fields), UNDEFINED)
        self.stored[document_id] = fields
        for sub, view in self._seeing(document_id):
            if new:
                view.added(sub, "items", document_id, fields)
            else:
                view.changed(sub, "items", document_id, fields | gone)

    def remove(self, step: Step) -> None:
        document_id = step.one_of(DOCUMENT_IDS)
        if self.stored.pop(document_id, None) is not None:
            for sub, view in self._seeing(document_id):
                view.removed(sub, "items", document_id)

    def let_return(self, step: Step) -> None:
        if self.served is not None and self.served.calls:
            call = self.served.calls.pop(step.number() % len(self.served.calls))
            self.served.session.method_done(call, call.params)

    def let_fail(self, step: Step) -> None:
        if self.served is not None and self.served.calls:
            call = self.served.calls.pop(step.number() % len(self.served.calls))
            self.served.session.method_failed(call, MethodError("no", "", call.params))

    def unblock(self, step: Step) -> None:
        if self.served is not None and self.served.calls:
            self.served.session.unblock(step.one_of(self.served.calls))

    def begin_write(self, step: Step) -> None:
        if self.served is not None and self.served.calls:
            call = step.one_of(self.served.calls)
            if self.served.session.begin_write(call):
                self.served.writes.append(call)

    def end_write(self, step: Step) -> None:
        if self.served is not None and self.served.writes:
            self.served.session.end_write(self.served.writes.pop())

    def end_session(self, step: Step) -> None:
        if self.served is not None:
            self.served.session.close(1000, "enough")

    def restart(self, step: Step) -> None:
        """The server forgets everything."""
        self.end_session(step)
        self.look()
        self.lives += 1
        self.legacies.clear()

    # Steps of the link

    def connect(self, step: Step) -> None:
        if self.link is None:
            self.link = _Link()
            self.client.connection_made(self.now)

    def cut(self, step: Step) -> None:
        """Both ends notice at once; what is under way is lost, in both directions."""
        link = self.link
        self.cut_here(step)
        if link is not None and self._is_served(link):
            self.cut_there(step)

    def cut_here(self, step: Step) -> None:
        """Only the client notices."""
        if self.link is not None:
            self.link.down.clear()
            self.link = None
            self.drops += 1
            self.client.connection_lost()

    def cut_there(self, step: Step) -> None:
        """Only the server notices."""
        served = self.served
        if served is not None and served.link is not None:
            served.link.down.clear()
            served.link, served.lost_at = None, self.now
            served.session.detach()

    def deliver_up(self, step: Step) -> None:
        for _ in range(step.number()):
            if self.link is None or not self.link.up:
                return
            self._arrive(self.link, self.link.up.popleft().decode())

    def deliver_late(self, step: Step) -> None:
        """What was under way when the client gave up its connection."""
        for _ in range(step.number()):
            if self.served is None or self.served.link is None or not self.served.link.up:
                return
            self._arrive(self.served.link, self.served.link.up.popleft().decode())

    def deliver_down(self, step: Step) -> None:
        for _ in range(step.number()):
            if self.link is None or not self.link.down:
                return
            self.client.receive(self.link.down.popleft().decode(), self.now)
            self.look()

    def wait(self, step: Step) -> None:
        self.now += step.seconds()
        served = self.served
        if served is not None and served.link is None:
            if self.now >= served.lost_at + _SERVER.resume_timeout:
                served.session.close(1000, "its client did not come back")
        ends: list[Any] = [self.client, *([served.session] if served else [])]
        for end in ends:
            due = end.next_timer()
            if due is not None and due <= self.now:
                end.handle_timer(self.now)

    # What must hold

    def look(self) -> None:
        """Act on the events of both ends, and put what they send on the link."""
        served = self.served
        if served is not None:
            for event in served.session.events():
                self._act_for_server(served, event)
            if served.link is not None:
                while texts := served.session.texts_to_send():
                    for text in texts:
                        served.numbered.sent(text, self.now)
                    if served.link is self.link:
                        served.link.down.extend(texts)
        for client_event in self.client.events():
            self._act_for_client(client_event)
        texts = self.client.texts_to_send()
        assert self.link is not None or not texts
        if self.link is not None:
            self.link.up.extend(texts)
        assert equals(dict(self.client.documents("items")), self.shown)

    def finish(self) -> None:
        """Repair the link, let everything arrive: then both ends must agree."""
        every, first = b"*\xff", Step(b"")
        for _ in range(_FULL):
            if self.link and not self.link.is_new and not self._is_served(self.link):
                self.cut_here(first)
            self.connect(first)
            self.look()
            for step in (_World.deliver_up, _World.let_return, _World.deliver_down):
                step(self, Step(every))
                self.look()
            self.end_write(first)
            self.look()
            link, served = self.link, self.served
            if link and served and not (link.up or link.down or served.calls or served.writes):
                break
        assert not self.calls, f"calls that nobody settles: {self.calls}"
        self._check_runs()
        expected = {
            document_id: fields
            for document_id, fields in self.stored.items()
            if _part(document_id) in self.subscriptions.values()
        }
        documents = self.client.documents("items")
        assert equals(dict(documents), expected), (documents, expected)

    def _check_runs(self) -> None:
        assert max(self.ran.values(), default=1) == 1, "a method ran twice"
        times = Counter(number for number, _life in self.ran)
        for number, lives in times.items():
            assert lives == 1 or number in self.retries, "ran twice, after a restart"
            assert number not in self.never_sent, "ran, though it was said that it could not"

    # Inside

    def _is_served(self, link: _Link) -> bool:
        return self.served is not None and self.served.link is link

    def _arrive(self, link: _Link, text: str) -> None:
        """A text reaches the server."""
        if link.is_new:
            link.is_new = False
            found = read_greeting(text, versions=_SERVER.versions, max_depth=100)
            assert isinstance(found, Greeting)
            self._greeted(link, found)
        elif self.served is not None and self._is_served(link):
            self.served.session.receive(text, self.now)
        self.look()

    def _greeted(self, link: _Link, greeting: Greeting) -> None:
        served, received = self.served, greeting.received_count
        if served is not None and greeting.session == served.session.id:
            assert received is not None
            missing = sum(map(len, served.numbered.texts[received:]))
            must = (
                missing + served.session.bytes_to_send <= _SERVER.replay_bytes
                and served.numbered.must_know(received, self.now, _SECONDS_TO_MISS)
            )
            if served.session.resume(greeting, self.now):
                served.numbered.resumed(received)
                served.link = link
                return
            assert not must, "nothing that is missing is gone"
        if served is not None:
            served.session.close(1000, "its client begins anew")
            self.look()
        self.sessions += 1
        session = ServerSession(
            f"S{self.sessions}",
            methods={"echo"},
            publications={"items"},
            ejson=_EJSON,
            config=_SERVER,
            now=self.now,
            remembered=self.legacies.get(greeting.session or ""),
        )
        self.served = _Served(session, Numbered(session.id), link)

    def _seeing(self, document_id: str) -> list[tuple[Subscribed, Any]]:
        served = self.served
        if served is None:
            return []
        subs = [sub for sub in served.subs if sub.params == [_part(document_id)]]
        return [(sub, served.session.view) for sub in subs]

    def _act_for_server(self, served: _Served, event: Any) -> None:
        match event:
            case MethodCalled():
                self.ran[event.params[0], self.lives] += 1
                served.calls.append(event)
            case Subscribed():
                served.subs.append(event)
                for document_id, fields in self.stored.items():
                    if [_part(document_id)] == event.params:
                        served.session.view.added(event, "items", document_id, fields)
                served.session.view.ready(event)
                served.session.unblock(event)
                for following in served.session.events():
                    self._act_for_server(served, following)
            case Unsubscribed():
                served.subs.remove(event.subscription)
            case Dropped():
                self.cut_there(Step(b""))
            case Closed():
                self._session_ended(served)

    def _session_ended(self, served: _Served) -> None:
        remembered = served.session.legacy()
        if remembered is not None:
            self.legacies[served.session.id] = remembered
        self.served = None
        if served.link is not None and served.link is self.link:
            self.cut_here(Step(b""))

    def _act_for_client(self, event: Any) -> None:
        match event:
            case MethodReturned():
                assert event.result == [self.calls.pop(event.id).number]
            case MethodRaised():
                self._raised(self.calls.pop(event.id), event.error)
            case SessionStarted():
                assert not event.is_resumed or self.served is not None
            case SubscriptionEnded():
                self.subscriptions.pop(event.id, None)  # twice, if a drop came before the nosub
            case DocumentEvent():
                self._show(event)
            case Closed():
                self.cut_here(Step(b""))

    def _raised(self, call: _Call, error: Exception) -> None:
        has_run = any(number == call.number for number, _life in self.ran)
        if isinstance(error, ConnectionLost):
            assert self.sessions > 1 or self.has_given_up or self.drops >= _VAIN, "lost for nothing"
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


def _part(document_id: str) -> int:
    """Which of the two publications' parameters shows this document."""
    return DOCUMENT_IDS.index(document_id) % 2


_STEPS: Steps = {
    ord("c"): _World.call,
    ord("s"): _World.subscribe,
    ord("u"): _World.unsubscribe,
    ord("g"): _World.give_up,
    ord("p"): _World.change,
    ord("z"): _World.remove,
    ord("h"): _World.let_return,
    ord("f"): _World.let_fail,
    ord("b"): _World.unblock,
    ord("w"): _World.begin_write,
    ord("W"): _World.end_write,
    ord("e"): _World.end_session,
    ord("B"): _World.restart,
    ord("o"): _World.connect,
    ord("x"): _World.cut,
    ord("X"): _World.cut_here,
    ord("D"): _World.cut_there,
    ord(">"): _World.deliver_up,
    ord(")"): _World.deliver_late,
    ord("<"): _World.deliver_down,
    ord("t"): _World.wait,
}

"""Target ``server``: a server's session, whatever is sent to it and whenever handlers end.

Each step is one thing that can happen to :class:`ServerSession`. After every one of them,
what it sends must be legal in its state, and what its client sees must be what was
published; at the end, everything asked for must have been answered.
"""

import json
from collections import Counter
from itertools import product
from typing import Any, Final

from msgspec import Raw

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.document import Document
from shared.rpc.ddp.events import Closed, Dropped, MethodCalled, Subscribed, Unsubscribed
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ddp.merge_box import Strategy
from shared.rpc.ddp.server import ServerConfig, ServerSession
from shared.rpc.ejson import Ejson
from shared.rpc.errors import EjsonError, MethodError
from shared.rpc.object_id import OBJECT_ID
from tests.conformance.fuzz.corpus import FROM_CLIENT
from tests.conformance.fuzz.script import DOCUMENT_IDS, VALUES, Step, Steps, drawn_lines, steps_of
from tests.conformance.fuzz.view_model import Published, Seen

_CONNECT = b"<" + FROM_CLIENT[0]
_METHOD = b'<{"msg":"method","id":"%d","method":"slow","params":[%d]}'
_OPS: Final = [
    b"r",
    b"f",
    b"u",
    b"w",
    b"W",
    b"p",
    b"y",
    b"q",
    b"a",
    b"aaa",
    b"ca",
    b"d",
    b"S",
    b"R",
]

LINES: Final = [
    *(b"<" + text for text in FROM_CLIENT),
    *(_METHOD % (number, number) for number in range(3)),
    *_OPS,
    *drawn_lines(b"aaccvvd", 80),
    *(b"t\x04", b"tz", b"t\xff", b"g", b"x", b"X", b"e", b"E"),
]
SEEDS: Final = [
    b"\n".join([_CONNECT, *(b"<" + text for text in FROM_CLIENT[6:12]), b"r", b"u", b"t\x10"]),
    b"\n".join([_CONNECT, _METHOD % (1, 1), b"w", b"r", _METHOD % (1, 1), b"W", _METHOD % (1, 1)]),
    b"\n".join(
        [
            *(_CONNECT, b'<{"msg":"sub","id":"a","name":"items"}', b"u"),
            *(b'<{"msg":"sub","id":"b","name":"others"}', b"u"),
            *(b"a" + bytes([sub, where, which]) for sub, where, which in product((0, 1), repeat=3)),
            *drawn_lines(b"aacvd", 12),
            *(b"v\0\0\0\1\0\3", b"v\1\0\0\1\1\3", b"c\0\0\0\1\0\x0c", b"c\1\0\0\1\1\x0c"),
            *(b"a\0\0\0\1\0\0", b"a\1\0\0\2\0\1\1\2", b"c\0\0\0\1\0\2", b"y", b"E", b"a\0\0\1"),
            *(b"e", b"q", b'<{"msg":"unsub","id":"a"}', b"d\1\0\0", b"R"),
        ]
    ),
    b"\n".join([b"<{}", b"<", _CONNECT, b"g", b"a\0\1\2\3", b"t\xff", b"t\xff", b"t\xff"]),
]

_EJSON = Ejson([OBJECT_ID])
_MAX_DOCUMENTS: Final = 7
_CONFIG = ServerConfig(
    heartbeat=HeartbeatConfig(interval=5, timeout=5),
    remembered_answers=3,
    remembered_bytes=200,
    max_documents=_MAX_DOCUMENTS,
)
_METHODS: Final = frozenset({"echo", "slow"})
_PUBLICATIONS: Final = frozenset({"items", "others"})
_STRATEGIES: Final = {
    "multi": Strategy.NO_MERGE_MULTI,
    "plain": Strategy.NO_MERGE,
    "events": Strategy.NO_MERGE_NO_HISTORY,
}
_COLLECTIONS: Final = ("merged", "merged too", *_STRATEGIES)


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
    """A session, its application, and a client that takes note of everything."""

    def __init__(self) -> None:
        self.now = 0.0
        self.session = ServerSession(
            "S",
            methods=_METHODS,
            publications=_PUBLICATIONS,
            ejson=_EJSON,
            config=_CONFIG,
            now=0.0,
            strategies=_STRATEGIES,
        )
        self.closed = self.was_silent = self.rerunning = False
        self.calls: list[MethodCalled] = []
        self.writes: list[MethodCalled] = []
        self.subs: list[Subscribed] = []
        self.publishers: list[Subscribed] = []  # may go on when their subscription has ended
        self.published, self.seen, self.many = Published(), Seen(), Seen()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.told: Counter[tuple[str, str]] = Counter()
        self.ended: Counter[str] = Counter()

    # Steps

    def receive(self, step: Step) -> None:
        text = step.text
        if not self.closed:
            self._note(text)
        self.session.receive(text, self.now)

    def let_return(self, step: Step) -> None:
        if self.calls:
            call = self.calls.pop(step.number() % len(self.calls))
            try:
                self.session.method_done(call, step.one_of(VALUES))
            except EjsonError as error:
                self.session.method_failed(call, MethodError(500, "unwritable", str(error)))

    def let_fail(self, step: Step) -> None:
        if self.calls:
            call = self.calls.pop(step.number() % len(self.calls))
            self.session.method_failed(call, MethodError("bad", "why", [step.one_of(VALUES)]))

    def unblock(self, step: Step) -> None:
        handlers: list[MethodCalled | Subscribed] = [*self.calls, *self.publishers]
        if handlers:
            self.session.unblock(step.one_of(handlers))

    def begin_write(self, step: Step) -> None:
        if self.calls:
            call = step.one_of(self.calls)
            if self.session.begin_write(call):
                self.writes.append(call)

    def end_write(self, step: Step) -> None:
        if self.writes:
            self.session.end_write(self.writes.pop(step.number() % len(self.writes)))

    def end_publisher(self, step: Step) -> None:
        if self.publishers:
            self.session.unblock(self.publishers.pop(step.number() % len(self.publishers)))

    def publish(self, step: Step) -> None:
        self._change("added", step)

    def change(self, step: Step) -> None:
        self._change("changed", step)

    def replace(self, step: Step) -> None:
        self._change("replaced", step)

    def take_back(self, step: Step) -> None:
        self._change("removed", step)

    def ready(self, step: Step) -> None:
        if self.subs:
            self.session.view.ready(step.one_of(self.subs))

    def stop(self, step: Step) -> None:
        if self.subs:
            sub = step.one_of(self.subs)
            error = MethodError("stopped") if step.number() % 2 else None
            self.session.view.end(sub, error)
            self._left(sub)

    def start_universal(self, step: Step) -> None:
        if not any(sub.name is None for sub in self.subs):
            self.session.start_universal("u0")

    def begin_rerun(self, step: Step) -> None:
        if not self.closed:
            self.published.clear()
            self.subs = self.session.view.begin_rerun()
            self.publishers += self.subs
            self.rerunning = True

    def end_rerun(self, step: Step) -> None:
        if self.rerunning:
            self.rerunning = False
            self.session.view.end_rerun()

    def wait(self, step: Step) -> None:
        self.now += step.seconds()
        for _ in range(3):  # it may owe two things at once, and must then wait for more
            due = self.session.next_timer()
            if due is None or due > self.now:
                return
            self.session.handle_timer(self.now)
        due = self.session.next_timer()
        assert due is None or due > self.now, "a timer that is always due"

    def close(self, step: Step) -> None:
        self.session.close(1000, "")

    # What must hold

    def look(self) -> None:
        """Act on events, read what is sent, and compare."""
        for event in self.session.events():
            self._act(event)
        texts = self.session.texts_to_send()
        assert not (self.was_silent and texts), "texts after the end"
        for text in texts:
            self._hear(json.loads(text, parse_constant=_no_constant))
        self.was_silent = self.closed
        if not self.closed and not self.rerunning:
            documents = self.published.documents
            self.seen.check({k: doc for k, doc in documents.items() if k[0] not in _STRATEGIES})
            assert self.many.documents.keys() == {k for k in documents if k[0] == "multi"}

    def finish(self) -> None:
        """Let everything end; then all that was asked for must have been answered."""
        ends = (_World.end_rerun, _World.let_return, _World.end_write, _World.end_publisher)
        while self.rerunning or self.calls or self.writes or self.publishers:
            for end in ends:
                end(self, Step(b""))
                self.look()
        if not self.closed:
            for (kind, name), times in self.asked.items():
                if kind == "method":
                    assert self.told["result", name] == times, f"results of {name!r}"
                    assert self.told["updated", name] == times, f"updates of {name!r}"
                elif kind == "unsub":
                    assert self.told["nosub", name] >= times, f"nosub of {name!r}"

    # Inside

    def _note(self, text: str | bytes) -> None:
        try:
            message = m.decode_from_client(text)
        except m.Unreadable:
            return
        match message:
            case m.Method() if _is_array(message.params):
                self.asked["method", message.id] += 1
            case m.Sub() if _is_array(message.params):
                self.asked["sub", message.id] += 1
            case m.Unsub():
                self.asked["unsub", message.id] += 1
            case m.Ping():
                self.asked["ping", ""] += 1

    def _act(self, event: Any) -> None:
        assert not self.closed, "an event after the last"
        match event:
            case MethodCalled():
                assert event.name in _METHODS
                assert all(call.id != event.id for call in self.calls), "runs twice at a time"
                self.calls.append(event)
            case Subscribed():
                assert event.name is None or event.name in _PUBLICATIONS
                self.subs.append(event)
                self.publishers.append(event)
            case Unsubscribed():
                self._left(event.subscription)
            case Dropped():
                assert self.now > 0
            case Closed():
                self.closed = True

    def _left(self, sub: Subscribed) -> None:
        if sub in self.subs:
            self.subs.remove(sub)
            self.ended[sub.id] += 1
            self.published.left(sub)

    def _change(self, kind: str, step: Step) -> None:
        if not self.subs or self.closed:
            return
        sub, collection = step.one_of(self.subs), step.one_of(_COLLECTIONS)
        document_id = step.one_of(DOCUMENT_IDS)
        fields: dict[str, Any] | Document = step.fields()
        if kind == "replaced" or (kind == "added" and step.number() % 2):
            fields = Document(fields)
        more = [] if kind == "removed" else [fields]
        published = self.published
        held = published.has(sub, collection, document_id)
        try:
            getattr(self.session.view, kind)(sub, collection, document_id, *more)
        except EjsonError:
            assert VALUES[-1] in fields.values()
        except LookupError:
            assert kind != "added"
            assert not held
        except MethodError as error:
            assert (kind, error.error) == ("added", "too-many-documents")
            assert not held
            assert published.held == _MAX_DOCUMENTS
        else:
            if collection != "events" and (kind == "added" or held):
                getattr(published, kind)(sub, collection, document_id, *more)
            assert published.held <= _MAX_DOCUMENTS

    def _hear(self, message: dict[str, Any]) -> None:
        match message:
            case {"msg": "connected"}:
                assert not self.told["connected", ""]
                self.told["connected", ""] += 1
            case {"msg": "error" | "failed"}:
                assert message["msg"] == "error" or self.closed
            case {"msg": "ping" | "pong" as kind}:
                self.told[kind, ""] += 1
                assert self.told["pong", ""] <= self.asked["ping", ""]
            case {"msg": "added" | "changed" | "removed"}:
                self._see(message)
            case {"msg": "result", "id": name}:
                assert not ("error" in message and "result" in message)
                self._answered("result", name)
            case {"msg": "updated", "methods": names}:
                for name in names:
                    self._answered("updated", name)
            case {"msg": "ready", "subs": names}:
                assert all(self.asked["sub", name] for name in names)
            case {"msg": "nosub", "id": name}:
                self.told["nosub", name] += 1
                most = self.asked["unsub", name] + self.asked["sub", name]
                assert self.told["nosub", name] <= most, f"nosub of {name!r}"
            case _:
                raise AssertionError(f"not a message of a server: {message}")

    def _answered(self, kind: str, name: str) -> None:
        self.told[kind, name] += 1
        assert self.told[kind, name] <= self.asked["method", name], f"{kind} of {name!r}"

    def _see(self, message: dict[str, Any]) -> None:
        assert self.told["connected", ""]
        kind, collection, wire_id = (message.pop(name) for name in ("msg", "collection", "id"))
        if collection in ("plain", "events"):
            return
        fields = _EJSON.decode(message.get("fields", {}))
        seen = self.many if collection == "multi" else self.seen
        document_id = wire_id.removeprefix("-")
        if collection == "multi":
            key = collection, document_id
            cleared = [n for n in message.get("cleared", []) if n in seen.documents.get(key, {})]
            if kind == "changed" and not fields and not cleared:
                return
        else:
            cleared = message.get("cleared", [])
        seen.apply(kind, collection, document_id, fields, cleared)


def _is_array(params: Any) -> bool:
    return not isinstance(params, Raw) or bytes(params).startswith(b"[")


def _no_constant(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


_STEPS: Steps = {
    ord("<"): _World.receive,
    ord("r"): _World.let_return,
    ord("f"): _World.let_fail,
    ord("u"): _World.unblock,
    ord("w"): _World.begin_write,
    ord("W"): _World.end_write,
    ord("p"): _World.end_publisher,
    ord("a"): _World.publish,
    ord("c"): _World.change,
    ord("v"): _World.replace,
    ord("d"): _World.take_back,
    ord("y"): _World.ready,
    ord("q"): _World.stop,
    ord("g"): _World.start_universal,
    ord("E"): _World.begin_rerun,
    ord("e"): _World.end_rerun,
    ord("t"): _World.wait,
    ord("x"): _World.close,
}

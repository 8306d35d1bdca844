"""Target ``server``: a server's session, whatever is sent to it, whenever handlers end or links break.

Each step is one thing that can happen to :class:`ServerSession`. After every one of them,
what it holds must be bounded. What its client reads, over all connections, must be what was
sent, and what it sees must be what was published. At the end, everything asked for must
have been answered; and over all sessions that know of each other, no method begins twice.
"""

import sys
from collections import Counter, defaultdict
from itertools import product
from typing import Any, Final

from msgspec import UNSET, Raw

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.events import Closed, Dropped
from shared.rpc.ddp.handshake import Greeting, Rejection, read_greeting
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ddp.nesting import is_nested_deeper
from shared.rpc.ddp.remembered import Remembered
from shared.rpc.ddp.server import ServerConfig, ServerSession
from shared.rpc.ejson import Ejson
from shared.rpc.object_id import OBJECT_ID
from tests.conformance.fuzz.application import (
    MAX_DOCUMENTS,
    MAX_SUBSCRIPTIONS,
    METHODS,
    PUBLICATIONS,
    STRATEGIES,
    Application,
)
from tests.conformance.fuzz.corpus import FROM_CLIENT
from tests.conformance.fuzz.reader import Reader
from tests.conformance.fuzz.runs import Runs
from tests.conformance.fuzz.script import Step, Steps, drawn_lines, steps_of
from tests.support.texts import only_texts

_METHOD = b'<{"msg":"method","id":"%d","method":"slow","params":[%d]}'
_SUB = b'<{"msg":"sub","id":"%s","name":"items"}'
_OPS: Final = [
    *(b"r", b"f", b"u", b"w", b"W", b"p", b"y", b"q", b"a", b"aaa", b"ca", b"d", b"S", b"R"),
    *(b"l", b"l", b"k", b"k", b"k\1", b"k\2", b"k\3", b"k\4", b"k\5", b"k\6", b"L"),
    *(b"h\0", b"h\1", b"h\2", b"n\1", b"n\2", b"n\3"),
]

LINES: Final = [
    *(b"<" + text for text in FROM_CLIENT),
    *(b"k" + text for text in FROM_CLIENT[:6]),
    *(_METHOD % (number, number) for number in range(5)),
    *_OPS,
    *_OPS,
    *drawn_lines(b"aaccvvd", 80),
    *(b"t\x04", b"tz", b"t\xff", b"g", b"x", b"X", b"e", b"E"),
]
SEEDS: Final = [
    b"\n".join([*(b"<" + text for text in FROM_CLIENT[6:12]), b"r", b"u", b"t\x10", b"l", b"k"]),
    b"\n".join([_METHOD % (1, 1), b"w", b"r", _METHOD % (1, 1), b"W", _METHOD % (1, 1)]),
    b"\n".join(
        [
            *(_METHOD % (1, 1), b"h\1", b"u", _METHOD % (2, 2), b"r", b"l", b"r", b"k"),
            *(_METHOD % (1, 1), _METHOD % (2, 2), b"n\4", _METHOD % (3, 3), b"u", b"k\3"),
            *(_METHOD % (1, 1), _METHOD % (3, 3), b"n\4", b"l", b"k\2", _METHOD % (2, 2)),
        ]
    ),
    b"\n".join(
        [
            *(_SUB % b"a", b"u", b'<{"msg":"sub","id":"b","name":"others"}', b"u"),
            *(b"a" + bytes([sub, where, which]) for sub, where, which in product((0, 1), repeat=3)),
            *drawn_lines(b"aacvd", 12),
            *(b"v\0\0\0\1\0\3", b"v\1\0\0\1\1\3", b"c\0\0\0\1\0\x0c", b"c\1\0\0\1\1\x0c"),
            *(b"a\0\0\0\1\0\0", b"a\1\0\0\2\0\1\1\2", b"c\0\0\0\1\0\2", b"y", b"E", b"a\0\0\1"),
            *(b"e", b"q", b'<{"msg":"unsub","id":"a"}', b"d\1\0\0", b"R"),
        ]
    ),
    b"\n".join([b"<{}", b"<", b"g", b"a\0\1\2\3", b"t\xff", b"t\xff", b"k", b"t\xff", b"k"]),
    b"\n".join([_SUB % b"a", b"p", b"h\2", *drawn_lines(b"ac", 20), b"l", b"k", b"h\0"]),
    b"\n".join([_SUB % b"a", b"p", *([b"h\1", b"a", b"d", b"n\1", b"l", b"k", b"h\0"] * 4)]),
]

_EJSON = Ejson([OBJECT_ID])
_MAX_METHODS: Final = 4
_REMEMBERED: Final = 12
_CONFIG = ServerConfig(
    heartbeat=HeartbeatConfig(interval=5, timeout=5),
    idle_timeout=45,
    resume_timeout=10,
    replay_bytes=1_500,
    max_depth=50,
    max_methods=_MAX_METHODS,
    max_queued_bytes=3_000,
    max_subscriptions=MAX_SUBSCRIPTIONS,
    max_documents=MAX_DOCUMENTS,
    remembered_answers=_REMEMBERED,
    remembered_bytes=1_000,
)
_MESSAGES: Final = _REMEMBERED - 1 - _MAX_METHODS
"""So many may come until a method that has ended may be forgotten."""
_SECONDS_TO_MISS: Final = 20.0
_PER_ANSWER_BYTES: Final = 200


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
    """One client and its sessions, of which only the last may be open."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sessions = self.pace = 0
        self.legacies: dict[str, tuple[Remembered, Runs]] = {}
        self._begin("1", None, _new_runs())

    def _begin(self, version: str, remembered: Remembered | None, runs: Runs) -> None:
        self.sessions += 1
        self.session = ServerSession(
            f"S{self.sessions}",
            version,
            methods=METHODS,
            publications=PUBLICATIONS,
            ejson=_EJSON,
            config=_CONFIG,
            now=self.now,
            strategies=STRATEGIES,
            remembered=remembered,
        )
        self.runs = runs
        self.app = Application(self.session, runs)
        self.reader = Reader(self.session.id)
        self.is_attached = True
        self.is_closed = self.has_left = False
        self.lost_at = 0.0
        self.connection = 0
        self.asked: Counter[tuple[str, str]] = Counter()
        self.asked_on: defaultdict[tuple[str, str], set[int]] = defaultdict(set)

    # Steps

    def receive(self, step: Step) -> None:
        if self.is_attached and not self.is_closed:
            self._note(step.text)
            self.session.receive(step.text, self.now)

    def lose(self, step: Step) -> None:
        if self.is_attached and not self.is_closed:
            self.is_attached, self.lost_at = False, self.now
            self.reader.lose()
            self.session.detach()

    def come_back(self, step: Step) -> None:
        """Connect, in the words of the line or in those of a client that may be wrong."""
        text = step.text if step.rest.startswith(b"{") else self._offer(step)
        found = read_greeting(text, versions=_CONFIG.versions, max_depth=_CONFIG.max_depth)
        if isinstance(found, Rejection):
            assert isinstance(m.decode_from_server(found.text.decode()), (m.Error, m.Failed))
            return
        if found.session == self.session.id and not self.is_closed and self._resume(found):
            return
        self.session.close(1000, "its client begins anew")
        self.look()
        remembered, runs = self.legacies.get(found.session or "", (None, _new_runs()))
        self._begin(found.version, remembered, runs)

    def set_pace(self, step: Step) -> None:
        """0: everything is read at once; 1: only as steps say; 2: nothing is even sent."""
        self.pace = step.number() % 3

    def read(self, step: Step) -> None:
        self.reader.read(step.number())

    def wait(self, step: Step) -> None:
        self.now += step.seconds()
        if not self.is_attached and self.now >= self.lost_at + _CONFIG.resume_timeout:
            self.session.close(1000, "its client did not come back")
        for _ in range(4):  # it may owe three things at once, and must then wait for more
            due = self.session.next_timer()
            if due is None or due > self.now:
                return
            self.session.handle_timer(self.now)
            self.look()
        due = self.session.next_timer()
        assert due is None or due > self.now, "a timer that is always due"

    def close(self, step: Step) -> None:
        self.session.close(1000, "")

    def leave(self, step: Step) -> None:
        self.has_left |= not self.is_closed
        self.session.leave()

    # What must hold

    def look(self) -> None:
        """Act on events, read what is sent, and compare."""
        while events := self.session.events():
            for event in events:
                assert not self.is_closed, "an event after the last"
                self._act(event)
        if self.is_attached and (self.pace < 2 or self.is_closed):
            while texts := only_texts(self.session.texts_to_send()):
                self.reader.sent(texts, self.now)
            assert self.session.bytes_to_send == 0
        if self.is_closed:
            self.is_attached = False
        if self.pace == 0:
            self.reader.read(sys.maxsize)
        self._check_bounds()
        if not (self.is_closed or self.reader.is_behind or self.session.has_texts_to_send):
            self._check_view()

    def finish(self) -> None:
        """Let everything end; then all that was asked for must have been answered."""
        self.set_pace(Step(b"h\0"))
        self.look()
        while self.app.is_busy:
            self.app.finish()
            self.look()
        if not (self.is_attached or self.is_closed):
            self.come_back(Step(b"k"))
        self.look()
        if not self.is_closed:
            assert not self.reader.is_behind
            self._check_view()
            self._check_answers()

    def _check_bounds(self) -> None:
        session = self.session
        kept, waiting = session._outbox.kept_bytes, session.bytes_to_send
        assert kept <= _CONFIG.replay_bytes
        if not (self.is_attached or self.is_closed):
            assert kept + waiting <= _CONFIG.replay_bytes
        requests = session._requests
        assert requests.answers.outstanding <= _MAX_METHODS
        assert requests._queue._bytes <= 2 * _CONFIG.max_queued_bytes
        known = requests.answers._remembered.size
        assert known <= _CONFIG.remembered_bytes + _REMEMBERED * _PER_ANSWER_BYTES

    def _check_view(self) -> None:
        if not self.app.is_rerunning:
            documents, reader = self.app.published.documents, self.reader
            reader.seen.check({k: doc for k, doc in documents.items() if k[0] not in STRATEGIES})
            assert reader.many.documents.keys() == {k for k in documents if k[0] == "multi"}

    def _check_answers(self) -> None:
        told = self.reader.told
        for (kind, name), times in self.asked.items():
            if kind == "method":
                least = times - (len(self.asked_on[kind, name]) - 1)
                is_known = not told["refused", name] and self.runs.messages <= _MESSAGES
                most = least if is_known else times
                for answer in ("result", "updated"):
                    count = told[answer, name]
                    assert least <= count <= most, f"{count} times {answer} of {name!r}"
            elif kind == "unsub":
                assert told["nosub", name] >= times, f"nosub of {name!r}"
        for (kind, name), times in told.items():
            most = self.asked["unsub", name] + self.asked["sub", name]
            match kind:
                case "result" | "updated":
                    assert self.asked["method", name], f"{kind} of {name!r}"
                case "nosub":
                    assert times <= most, f"nosub of {name!r}"
                case "ready":
                    assert self.asked["sub", name]
                case "pong":
                    assert times <= self.asked["ping", ""]

    # Inside

    def _offer(self, step: Step) -> str:
        """The ``connect`` of a client that knows its session; 0 for one that is right."""
        count: Any = (0, -1, 1, 0, 0, 0, -self.reader.count)[kind := step.number() % 7]
        version = "pre1" if kind == 4 else self.session.version
        session_id = self.session.id if kind != 5 else f"S{step.number()}"
        received = UNSET if kind == 3 else self.reader.count + count
        return m.encode(m.Connect(session_id, received, version, [version])).decode()

    def _resume(self, greeting: Greeting) -> bool:
        must, count = self._must_resume(greeting), greeting.received_count
        if not self.session.resume(greeting, self.now):
            assert not must, "nothing that is missing is gone"
            return False
        assert count is not None
        self.reader.resumed(count)
        self.is_attached = True
        self.connection += 1
        return True

    def _must_resume(self, greeting: Greeting) -> bool:
        count, reader, session = greeting.received_count, self.reader, self.session
        if count is None or greeting.version != session.version or not reader.is_honest:
            return False
        missing = reader.missing_bytes(count) + session.bytes_to_send
        return (
            count >= reader.count
            and missing <= _CONFIG.replay_bytes
            and reader.numbered.must_know(count, self.now, _SECONDS_TO_MISS)
        )

    def _note(self, text: str | bytes) -> None:
        try:
            message = m.decode_from_client(text)
        except m.Unreadable:
            return
        match message:
            case m.Method() if _is_array(message.params):
                raw = b"[]" if message.params is UNSET else bytes(message.params)
                self._ask("method", message.id)
                self.runs.asked(self.session.id, message.id, (message.method, raw))
            case m.Sub() if _is_array(message.params):
                self._ask("sub", message.id)
            case m.Unsub() if not is_nested_deeper(text, _CONFIG.max_depth):
                self._ask("unsub", message.id)
            case m.Ping():
                self._ask("ping", "")
            case m.Pong():
                self.reader.is_honest &= not (
                    self.reader.is_behind or self.session.has_texts_to_send
                )
            case m.Disconnect():
                self.has_left = True

    def _ask(self, kind: str, name: str) -> None:
        self.asked[kind, name] += 1
        self.asked_on[kind, name].add(self.connection)

    def _act(self, event: Any) -> None:
        match event:
            case Dropped():
                self.lose(Step(b""))
            case Closed():
                self.is_closed = True
                self.app.session_ended()
                remembered = self.session.legacy()
                assert not (remembered and self.has_left)
                if remembered is not None:
                    self.legacies[self.session.id] = remembered, self.runs
            case _:
                self.app.act(event)


def _new_runs() -> Runs:
    return Runs(_MESSAGES)


def _is_array(params: Any) -> bool:
    return not isinstance(params, Raw) or bytes(params).startswith(b"[")


def _of_application(name: str) -> Any:
    def step(world: _World, step: Step) -> None:
        getattr(world.app, name)(step)

    return step


_STEPS: Steps = {
    ord("<"): _World.receive,
    ord("l"): _World.lose,
    ord("k"): _World.come_back,
    ord("h"): _World.set_pace,
    ord("n"): _World.read,
    ord("t"): _World.wait,
    ord("x"): _World.close,
    ord("L"): _World.leave,
    ord("r"): _of_application("let_return"),
    ord("f"): _of_application("let_fail"),
    ord("u"): _of_application("unblock"),
    ord("w"): _of_application("begin_write"),
    ord("W"): _of_application("end_write"),
    ord("p"): _of_application("end_publisher"),
    ord("a"): _of_application("publish"),
    ord("c"): _of_application("change"),
    ord("v"): _of_application("replace"),
    ord("d"): _of_application("take_back"),
    ord("y"): _of_application("ready"),
    ord("q"): _of_application("stop"),
    ord("g"): _of_application("start_universal"),
    ord("E"): _of_application("begin_rerun"),
    ord("e"): _of_application("end_rerun"),
}

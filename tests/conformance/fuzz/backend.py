"""The server of target ``link``: its sessions, and an application that notes what it runs."""

from collections import Counter, deque
from typing import Any, Final

import msgspec

from shared.rpc.ddp.events import Closed, Dropped, MethodCalled, Subscribed, Unsubscribed
from shared.rpc.ddp.handshake import Greeting, read_greeting
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ddp.remembered import Remembered
from shared.rpc.ddp.server import ServerConfig, ServerSession
from shared.rpc.ejson import UNDEFINED, Ejson
from shared.rpc.errors import MethodError
from tests.conformance.fuzz.reader import Numbered
from tests.conformance.fuzz.script import DOCUMENT_IDS, FIELDS, VALUES, Step
from tests.support.texts import only_texts

HEARTBEAT: Final = HeartbeatConfig(interval=60, timeout=60)
_CONFIG = ServerConfig(heartbeat=HEARTBEAT, resume_timeout=15, replay_bytes=4_000)
_SECONDS_TO_MISS: Final = 135.0
_EJSON = Ejson()
_STORED: Final = VALUES[:-2]


class Link(msgspec.Struct, eq=False):
    """A connection; each end notices by itself that it has gone."""

    up: deque[bytes] = msgspec.field(default_factory=deque)
    down: deque[bytes] = msgspec.field(default_factory=deque)
    is_new: bool = True
    """Whether the server has not been greeted on it."""
    is_closed: bool = False
    """By the server."""


class _Served(msgspec.Struct, eq=False):
    """A session at the server, and its handlers."""

    session: ServerSession
    numbered: Numbered
    link: Link | None
    lost_at: float = 0.0
    calls: list[MethodCalled] = msgspec.field(default_factory=list)
    writes: list[MethodCalled] = msgspec.field(default_factory=list)
    subs: list[Subscribed] = msgspec.field(default_factory=list)


class Backend:
    """Everything behind the client's links."""

    def __init__(self) -> None:
        self.now = 0.0
        self.served: _Served | None = None
        self.sessions = 0
        self.stored: dict[str, dict[str, Any]] = {}
        self.ran: Counter[tuple[int, int]] = Counter()
        """How often each call ran, in each life of the server."""
        self._legacies: dict[str, Remembered] = {}
        self._lives = 0

    @property
    def is_busy(self) -> bool:
        """Whether methods have yet to end."""
        return self.served is not None and bool(self.served.calls or self.served.writes)

    def is_served(self, link: Link) -> bool:
        """Whether a session goes over this link."""
        return self.served is not None and self.served.link is link

    # Steps of the application

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
        self.act()
        self._lives += 1
        self._legacies.clear()

    # What the links do

    def cut(self) -> None:
        """The link is lost: notice it."""
        served = self.served
        if served is not None and served.link is not None:
            served.link.down.clear()
            served.link, served.lost_at = None, self.now
            served.session.detach()

    def receive(self, link: Link) -> None:
        """The next text arrives over this link."""
        text = link.up.popleft().decode()
        if link.is_new:
            link.is_new = False
            found = read_greeting(text, versions=_CONFIG.versions, max_depth=100)
            assert isinstance(found, Greeting)
            self._greeted(link, found)
        elif self.served is not None and self.served.link is link:
            self.served.session.receive(text, self.now)

    def wait(self, now: float) -> None:
        """Let time pass."""
        self.now = now
        served = self.served
        if served is None:
            return
        if served.link is None and self.now >= served.lost_at + _CONFIG.resume_timeout:
            served.session.close(1000, "its client did not come back")
        due = served.session.next_timer()
        if due is not None and due <= now:
            served.session.handle_timer(self.now)
            self._act_on(served)

    def act(self) -> None:
        """Act on events, and put what is sent on the link."""
        if (served := self.served) is None:
            return
        self._act_on(served)
        if served.link is not None:
            while texts := only_texts(served.session.texts_to_send()):
                for text in texts:
                    served.numbered.sent(text, self.now)
                served.link.down.extend(texts)

    # Inside

    def _greeted(self, link: Link, greeting: Greeting) -> None:
        served, received = self.served, greeting.received_count
        if served is not None and greeting.session == served.session.id:
            assert received is not None
            missing = sum(map(len, served.numbered.texts[received:]))
            must = (
                missing + served.session.bytes_to_send <= _CONFIG.replay_bytes
                and served.numbered.must_know(received, self.now, _SECONDS_TO_MISS)
            )
            if served.session.resume(greeting, self.now):
                served.numbered.resumed(received)
                served.link = link
                return
            assert not must, "nothing that is missing is gone"
        if served is not None:
            served.session.close(1000, "its client begins anew")
            self._act_on(served)
        self.sessions += 1
        session = ServerSession(
            f"S{self.sessions}",
            methods={"echo"},
            publications={"items"},
            ejson=_EJSON,
            config=_CONFIG,
            now=self.now,
            remembered=self._legacies.get(greeting.session or ""),
        )
        self.served = _Served(session, Numbered(session.id), link)

    def _seeing(self, document_id: str) -> list[tuple[Subscribed, Any]]:
        served = self.served
        if served is None:
            return []
        subs = [sub for sub in served.subs if sub.params == [part_of(document_id)]]
        return [(sub, served.session.view) for sub in subs]

    def _act_on(self, served: _Served) -> None:
        while events := served.session.events():
            for event in events:
                self._act(served, event)

    def _act(self, served: _Served, event: Any) -> None:
        match event:
            case MethodCalled():
                self.ran[event.params[0], self._lives] += 1
                served.calls.append(event)
            case Subscribed():
                served.subs.append(event)
                for document_id, fields in self.stored.items():
                    if [part_of(document_id)] == event.params:
                        served.session.view.added(event, "items", document_id, fields)
                served.session.view.ready(event)
                served.session.unblock(event)
            case Unsubscribed():
                served.subs.remove(event.subscription)
            case Dropped():
                self.cut()
            case Closed():
                self._session_ended(served)

    def _session_ended(self, served: _Served) -> None:
        remembered = served.session.legacy()
        if remembered is not None:
            self._legacies[served.session.id] = remembered
        self.served = None
        if served.link is not None:
            served.link.is_closed = True


def part_of(document_id: str) -> int:
    """Which of the two publications' parameters shows this document."""
    return DOCUMENT_IDS.index(document_id) % 2

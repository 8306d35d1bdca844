"""Any interleaving of calls, drops, resumptions and answers, against a model of a server.

Whatever happens, each call is settled exactly once, no method runs twice, and in the end
the client holds exactly the server's documents, with events that lead there.
"""

import json
from collections import Counter
from itertools import count
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.rpc.ddp.client import ClientSession, ClientSessionConfig
from shared.rpc.ddp.events import DocumentEvent, MethodRaised, MethodReturned, SubscriptionEnded
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ejson import UNDEFINED, Ejson
from tests.shared.rpc.ddp.wire import Message, document, ready, result, updated
from tests.support.texts import only_texts


class Session:
    """What the server knows of one client."""

    def __init__(self, session_id: str, answers: dict[str, list[Message]]) -> None:
        self.id = session_id
        self.answers = answers  # of methods that ran, by id; empty while one runs
        self.subs: set[str] = set()
        self.sent: list[Message] = []


class ModelServer:
    """A server that resumes sessions, remembers answers, and publishes one collection."""

    def __init__(self) -> None:
        self.documents: dict[str, int] = {}
        self.runs: Counter[str] = Counter()
        self.session: Session | None = None
        self.remembered: dict[str, dict[str, list[Message]]] = {}
        self.to_client: list[Message] = []
        self.running: list[str] = []
        self._numbers = count(1)

    def connect(self, introduction: Message, *, resume: bool) -> None:
        old = self.session
        is_known = old is not None and introduction.get("session") == old.id
        if resume and is_known and old is not None:
            received = introduction["receivedCount"]
            welcome = {"msg": "connected", "session": old.id}
            old.sent.insert(received, welcome)
            self.to_client = old.sent[received:]
            return
        # also for the session after the next one: this welcome may not arrive
        answers = self.remembered.setdefault(introduction.get("session", ""), {})
        for call_id in self.running:
            answers[call_id] = [result(call_id, error={"error": "interrupted"}), updated(call_id)]
        self.running = []
        self.session = Session(f"S{next(self._numbers)}", answers)
        self.remembered[self.session.id] = answers
        self.to_client = []
        self.send({"msg": "connected", "session": self.session.id})

    def send(self, *messages: Message) -> None:
        if self.session is not None:
            self.session.sent += messages
            self.to_client += messages

    def receive(self, message: Message) -> None:
        assert self.session is not None
        match message["msg"]:
            case "method":
                self._run(message["id"], self.session)
            case "sub" if message["id"] not in self.session.subs:
                if not self.session.subs:
                    for name, value in self.documents.items():
                        self.send(document("added", name, fields={"n": value}))
                self.session.subs.add(message["id"])
                self.send(ready(message["id"]))
            case "unsub":
                if self.session.subs == {message["id"]}:
                    self.send(*(document("removed", name) for name in self.documents))
                self.session.subs.discard(message["id"])
                self.send({"msg": "nosub", "id": message["id"]})

    def _run(self, call_id: str, session: Session) -> None:
        if call_id not in session.answers:
            self.runs[call_id] += 1
            session.answers[call_id] = []
            self.running.append(call_id)
        elif call_id not in self.running:
            self.send(*session.answers[call_id])

    def finish(self, call_id: str, *, updated_first: bool) -> None:
        assert self.session is not None
        self.running.remove(call_id)
        answer = [result(call_id, result=call_id), updated(call_id)]
        self.session.answers[call_id] = answer[::-1] if updated_first else answer
        self.send(*self.session.answers[call_id])

    def write(self, name: str, value: int | None) -> None:
        before = self.documents.get(name)
        if value is None:
            self.documents.pop(name, None)
        else:
            self.documents[name] = value
        if self.session is None or not self.session.subs or before == value:
            return
        if value is None:
            self.send(document("removed", name))
        else:
            kind = "added" if before is None else "changed"
            self.send(document(kind, name, fields={"n": value}))


class AnyInterleaving(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.client = ClientSession(
            ejson=Ejson(),
            config=ClientSessionConfig(heartbeat=HeartbeatConfig(interval=0)),
            new_id=map("s{}".format, count(1)).__next__,
        )
        self.server = ModelServer()
        self.is_open = False
        self.to_server: list[Message] = []
        self.calls: set[str] = set()
        self.forgotten: set[str] = set()
        self.settled: Counter[str] = Counter()
        self.subs: set[str] = set()
        self.mirror: dict[str, dict[str, Any]] = {}

    # The application

    @rule(retry=st.booleans(), wait=st.booleans(), needs_update=st.booleans())
    def call(self, retry: bool, wait: bool, needs_update: bool) -> None:
        self.calls.add(self.client.call("m", [], retry=retry, wait=wait, updated=needs_update))

    @precondition(lambda self: self._waiting())
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        call_id = data.draw(st.sampled_from(sorted(self._waiting())))
        self.forgotten.add(call_id)
        self.client.forget(call_id)

    @rule()
    def subscribe(self) -> None:
        self.subs.add(self.client.subscribe("items", []))

    @precondition(lambda self: self.subs)
    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        subscription_id = data.draw(st.sampled_from(sorted(self.subs)))
        self.subs.discard(subscription_id)
        self.client.unsubscribe(subscription_id)

    @precondition(lambda self: not self.is_open)
    @rule(keep_unsent=st.booleans())
    def give_up(self, keep_unsent: bool) -> None:
        self.client.give_up("too long", keep_unsent=keep_unsent)

    # The network

    @precondition(lambda self: not self.is_open)
    @rule(resume=st.booleans())
    def connect(self, resume: bool) -> None:
        self.is_open = True
        self.client.connection_made(0)
        (introduction,) = only_texts(self.client.texts_to_send())
        self.server.connect(json.loads(introduction), resume=resume)

    @precondition(lambda self: self.is_open)
    @rule()
    def drop(self) -> None:
        self.is_open = False
        self.server.to_client = []
        self.to_server = []
        self.client.connection_lost()

    @rule(share=st.floats(0, 1))
    def deliver_to_client(self, share: float) -> None:
        number = round(share * len(self.server.to_client))
        arriving = self.server.to_client[:number]
        del self.server.to_client[:number]
        for message in arriving:
            self.client.receive(json.dumps(message), 0)

    @precondition(lambda self: self.is_open)
    @rule(share=st.floats(0, 1))
    def deliver_to_server(self, share: float) -> None:
        self.to_server += map(json.loads, only_texts(self.client.texts_to_send()))
        number = round(share * len(self.to_server))
        arriving = self.to_server[:number]
        del self.to_server[:number]
        for message in arriving:
            self.server.receive(message)

    # The server

    @precondition(lambda self: self.server.running)
    @rule(data=st.data(), updated_first=st.booleans())
    def finish(self, data: st.DataObject, updated_first: bool) -> None:
        self.server.finish(
            data.draw(st.sampled_from(self.server.running)), updated_first=updated_first
        )

    @rule(name=st.sampled_from("abc"), value=st.none() | st.integers(0, 3))
    def write(self, name: str, value: int | None) -> None:
        self.server.write(name, value)

    # What must hold

    @invariant()
    def events_are_true(self) -> None:
        for event in self.client.events():
            match event:
                case MethodReturned() | MethodRaised():
                    self.settled[event.id] += 1
                    assert event.id not in self.forgotten
                case SubscriptionEnded():
                    assert event.id not in self.subs
                case DocumentEvent():
                    self._reflect(event)
        assert self.mirror == self.client.documents("c")
        assert not self.settled or max(self.settled.values()) == 1
        assert not self.server.runs or max(self.server.runs.values()) == 1

    def teardown(self) -> None:
        if not self.is_open:
            self.connect(resume=True)
        is_quiet = False
        while not is_quiet:
            before = len(self.server.to_client), self.client.has_texts_to_send
            self.deliver_to_server(1.0)
            while self.server.running:
                self.server.finish(self.server.running[0], updated_first=True)
            self.deliver_to_client(1.0)
            is_quiet = before == (0, False) and not self.client.has_texts_to_send
        self.events_are_true()
        assert set(self.settled) == self.calls - self.forgotten
        documents = {name: {"n": value} for name, value in self.server.documents.items()}
        assert self.mirror == (documents if self.subs else {})

    def _waiting(self) -> set[str]:
        return self.calls - self.forgotten - set(self.settled)

    def _reflect(self, event: DocumentEvent) -> None:
        match event.kind:
            case "added":
                assert event.id not in self.mirror
                self.mirror[event.id] = dict(event.fields)
            case "changed":
                assert event.fields
                assert UNDEFINED not in event.fields.values()
                self.mirror[event.id] |= event.fields
            case "removed":
                del self.mirror[event.id]


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, print_blob=True
)

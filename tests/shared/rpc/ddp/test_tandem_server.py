"""A server's session in ``tandem1``: blobs, deadlines, cancel and progress, without I/O."""

import json
from typing import Any

import pytest

from shared.rpc.ddp.blob_receiver import BlobLimits
from shared.rpc.ddp.config import ServerConfig
from shared.rpc.ddp.events import Closed, MethodCalled, MethodStopped, ServerEvent, Subscribed
from shared.rpc.ddp.frames import (
    Abort,
    Binary,
    Blob,
    Chunk,
    Credit,
    Frame,
    Outgoing,
    Refuse,
    decode,
    encode,
)
from shared.rpc.ddp.handshake import Greeting
from shared.rpc.ddp.tandem_server import TandemSession
from shared.rpc.ejson import Ejson
from shared.rpc.errors import MethodError
from tests.shared.rpc.ddp.conftest import method


class Client:
    """The other end of a session."""

    def __init__(self, **config: Any) -> None:
        self.session = TandemSession(
            "S1",
            "tandem1",
            methods={"echo"},
            publications={"items"},
            ejson=Ejson(),
            config=ServerConfig(**config),
            now=0,
        )
        self.received = 0
        assert self.got() == [{"msg": "connected", "session": "S1"}]

    def send(self, *messages: dict[str, Any] | Frame, now: float = 1) -> list[ServerEvent]:
        for message in messages:
            data = json.dumps(message) if isinstance(message, dict) else encode(message).data
            self.session.receive(data, now)
        return self.session.events()

    def blob(self, blob_id: int, content: bytes) -> None:
        assert self.send(Blob(blob_id, len(content)), Chunk(blob_id, memoryview(content))) == []

    def call(self, call_id: str = "1", *params: Any, **more: Any) -> MethodCalled:
        (event,) = self.send(method(call_id, "echo", *params) | more)
        assert isinstance(event, MethodCalled)
        return event

    def got(self) -> list[Any]:
        """What was sent: texts as objects, frames as they are; all of it."""
        out: list[Outgoing] = []
        session = self.session
        while session.has_texts_to_send or session.has_bulk_to_send:
            out += session.texts_to_send() or session.bulk_to_send()
        found: list[Any] = [decode(m.data) if isinstance(m, Binary) else json.loads(m) for m in out]
        self.received += sum(
            isinstance(message, dict) and message["msg"] not in ("ping", "pong")
            for message in found
        )
        return found

    def texts(self) -> list[dict[str, Any]]:
        return [message for message in self.got() if isinstance(message, dict)]

    def come_back(self, received: int) -> bool:
        self.session.detach()
        return self.session.resume(Greeting("tandem1", "S1", received), 2)

    @property
    def held(self) -> int:
        return self.session._blobs.receiver.held_bytes


def error_of(message: dict[str, Any]) -> Any:
    return message["error"]["error"]


def test_a_method_has_its_bytes_until_it_is_answered() -> None:
    client = Client()
    client.blob(1, b"abc")
    call = client.call("1", {"$blob": 0}, blobs=[1])
    assert call.params == [b"abc"]
    assert client.held == 3 + 256
    client.session.method_done(call, None)
    assert client.held == 0


@pytest.mark.parametrize(
    "message",
    [
        method("1", "nope") | {"blobs": [1]},
        method("1", "echo", {"$blob": 1}) | {"blobs": [1]},
        {"msg": "sub", "id": "s", "name": "nope", "blobs": [1]},
        {"msg": "sub", "id": "s", "name": "items", "params": [{"$blob": 1}], "blobs": [1]},
    ],
)
def test_what_comes_to_nothing_holds_nothing(message: dict[str, Any]) -> None:
    client = Client()
    client.blob(1, b"abc")
    assert client.send(message) == []
    assert client.held == 0
    assert any("error" in text for text in client.texts())


def test_a_method_that_comes_again_holds_nothing_more() -> None:
    client = Client()
    for blob_id in (1, 2):
        client.blob(blob_id, b"abc")
        client.send(method("1", "echo", {"$blob": 0}) | {"blobs": [blob_id]})
    assert client.held == 3 + 256


def test_a_subscription_has_its_bytes_until_it_ends() -> None:
    client = Client()
    client.blob(1, b"abc")
    sub = {"msg": "sub", "id": "s", "name": "items", "params": [{"$blob": 0}], "blobs": [1]}
    (event,) = client.send(sub)
    assert isinstance(event, Subscribed)
    assert event.params == [b"abc"]
    client.session.unblock(event)
    assert client.held == 3 + 256
    client.send({"msg": "unsub", "id": "s"})
    assert client.held == 0


@pytest.mark.parametrize(
    "messages",
    [
        [method("1") | {"blobs": [1]}],
        [Blob(1, 3), method("1") | {"blobs": [1]}],
        [Chunk(1, memoryview(b"x"))],
        [Blob(1, 3), Blob(1, 3)],
    ],
)
def test_a_client_that_disagrees_is_closed(messages: list[Any]) -> None:
    client = Client()
    *_, event = client.send(*messages)
    assert isinstance(event, Closed)
    assert event.code == 1002
    assert not client.session.is_open


def test_a_refused_blob_s_method_is_answered_too_large() -> None:
    client = Client(blobs=BlobLimits(max_blob_bytes=2))
    client.send(Blob(1, 3))
    assert client.got() == [Refuse(1)]
    client.send(Chunk(1, memoryview(b"abc")), method("1", "echo") | {"blobs": [1]})
    assert [error_of(m) for m in client.texts() if m["msg"] == "result"] == ["too-large"]
    assert client.held == 0


def test_a_small_result_s_bytes_go_before_it_in_its_place() -> None:
    client = Client()
    client.session.method_done(client.call("1"), b"abc")
    client.session.method_done(client.call("2"), 2)
    blob, chunk, *texts = [m for m in client.got() if m != {"msg": "updated", "methods": ["1"]}]
    assert (blob, bytes(chunk.data)) == (Blob(1, 3), b"abc")
    result = {"msg": "result", "id": "1", "result": {"$blob": 0}, "blobs": [1]}
    assert [m for m in texts if m["msg"] == "result"] == [
        result,
        {"msg": "result", "id": "2", "result": 2},
    ]


def test_a_large_result_is_overtaken_and_pinged_for() -> None:
    client = Client()
    client.session.method_done(client.call("1"), bytes(70_000))
    client.session.method_done(client.call("2"), 2)
    kinds = [m["msg"] if isinstance(m, dict) else type(m).__name__ for m in client.got()]
    assert kinds[:4] == ["updated", "updated", "result", "Blob"]
    assert set(kinds[4:-2]) == {"Chunk"}
    assert kinds[-2:] == ["result", "ping"]
    session = client.session
    assert session._unconfirmed_bytes == 70_000
    session.receive(json.dumps({"msg": "pong", "id": str(client.received)}), 2)
    assert session._unconfirmed_bytes == session._outbox.kept_bytes == 0


def test_a_large_result_whose_text_was_lost_is_sent_again() -> None:
    client = Client()
    client.session.method_done(client.call("1"), bytes(70_000))
    *_, result, _ = client.got()
    assert client.come_back(client.received - 1)
    welcome, blob, *chunks, again, ping = client.got()
    assert welcome == {"msg": "connected", "session": "S1"}
    assert blob == Blob(1, 70_000)
    assert sum(len(chunk.data) for chunk in chunks) == 70_000
    assert (again, ping["msg"]) == (result, "ping")
    assert client.session._unconfirmed_bytes == 70_000


def test_a_large_result_that_was_half_sent_begins_anew() -> None:
    client = Client()
    client.session.method_done(client.call("1"), bytes(2_000_000))
    first = client.got()
    assert first[-1] != {"msg": "result"}
    assert client.come_back(client.received)
    assert client.got()[:2] == [{"msg": "connected", "session": "S1"}, Blob(1, 2_000_000)]
    texts: list[Any] = []
    while not texts:
        client.send(Credit(131_072))
        texts = client.texts()
    assert texts[0] == {"msg": "result", "id": "1", "result": {"$blob": 0}, "blobs": [1]}


def test_a_client_refuses_a_result() -> None:
    client = Client()
    client.session.method_done(client.call("1"), bytes(2_000_000))
    client.got()
    client.send(Refuse(1))
    result, abort = client.got()
    assert abort == Abort(1)
    assert error_of(result) == "too-large"
    assert client.session._blobs.sender.waiting_bytes == 0


def test_more_results_than_may_wait_are_an_error() -> None:
    client = Client(blobs=BlobLimits(max_held_bytes=150_000))
    client.session.method_done(client.call("1"), bytes(100_000))
    call = client.call("2")
    with pytest.raises(MethodError, match="too-large"):
        client.session.method_done(call, bytes(50_001))
    client.session.method_done(call, bytes(50_000))


def test_an_answer_with_bytes_is_remembered_and_has_other_ids() -> None:
    client = Client()
    client.session.method_done(client.call("1"), b"abc")
    client.got()
    assert client.send(method("1")) == []
    assert [m.id for m in client.got() if isinstance(m, Blob)] == [2]


def test_documents_with_bytes() -> None:
    client = Client()
    (sub,) = client.send({"msg": "sub", "id": "s", "name": "items"})
    assert isinstance(sub, Subscribed)
    client.session.view.added(sub, "items", "a", {"f": b"abc", "g": {"$blob": 0}})
    blob, _, added = client.got()
    assert blob == Blob(1, 3)
    assert added["fields"] == {"f": {"$blob": 0}, "g": {"$escape": {"$blob": 0}}}
    assert added["blobs"] == [1]


def test_a_running_method_is_stopped_by_its_caller() -> None:
    client = Client()
    call = client.call("1")
    (event,) = client.send({"msg": "cancel", "id": "1"})
    assert isinstance(event, MethodStopped)
    assert (event.call, event.error.error) == (call, "cancelled")
    client.session.method_failed(call, event.error)
    assert [error_of(m) for m in client.texts() if m["msg"] == "result"] == ["cancelled"]
    assert client.send({"msg": "cancel", "id": "1"}) == []


def test_a_waiting_method_is_stopped_without_having_begun() -> None:
    client = Client()
    first = client.call("1")
    assert client.send(method("2") | {"deadlineMs": 500}, method("3")) == []
    assert client.send({"msg": "cancel", "id": "2"}) == []
    assert [error_of(m) for m in client.texts() if m["msg"] == "result"] == ["cancelled"]
    client.session.method_done(first, None)
    (third,) = client.session.events()
    assert isinstance(third, MethodCalled)
    assert third.id == "3"


def test_a_deadline_counts_from_the_arrival() -> None:
    client = Client()
    running = client.call("1", deadlineMs=2_000)
    client.send(method("2") | {"deadlineMs": 500})
    assert running.deadline == 3
    session = client.session
    assert session.next_timer() == 1.5
    session.handle_timer(1.5)
    assert [error_of(m) for m in client.texts() if m["msg"] == "result"] == ["deadline"]
    session.detach()
    assert session.next_timer() == 3
    session.handle_timer(3)
    (event,) = session.events()
    assert isinstance(event, MethodStopped)
    assert (event.call, event.error.error) == (running, "deadline")
    assert session.next_timer() is None


def test_with_no_time_at_all_a_method_is_stopped_at_once() -> None:
    client = Client()
    called, stopped = client.send(method("1") | {"deadlineMs": 0})
    assert isinstance(called, MethodCalled)
    assert isinstance(stopped, MethodStopped)


def test_an_answered_method_has_no_deadline() -> None:
    client = Client()
    client.session.method_done(client.call("1", deadlineMs=500), None)
    client.session.handle_timer(1.5)
    assert client.session.events() == []


def test_progress_of_what_is_not_answered() -> None:
    client = Client()
    call = client.call("1")
    client.session.progress(call, 1, None, "begun")
    client.session.progress(call, float("nan"), None, "")
    assert client.got() == [
        {"msg": "progress", "id": "1", "done": 1.0, "total": None, "note": "begun"}
    ]
    client.session.method_done(call, None)
    client.got()
    client.session.progress(call, 2, None, "")
    assert client.got() == []

"""The server's session: exact answers to every kind of message."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rpc.ddp.events import (
    Closed,
    MethodCalled,
    SessionStarted,
    Subscribed,
    Unsubscribed,
)
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ddp.merge_box import Strategy
from shared.rpc.ddp.server import ServerConfig, ServerSession
from shared.rpc.ejson import UNDEFINED, Ejson
from shared.rpc.errors import EjsonError, MethodError

CONNECT = '{"msg":"connect","version":"1","support":["1","pre2","pre1"]}'


class Wire:
    """A session with one method ``echo`` and one publication ``items``."""

    def __init__(
        self,
        connect: str | None = CONNECT,
        strategies: Mapping[str, Strategy] | None = None,
        **config: Any,
    ) -> None:
        self.session = ServerSession(
            "S1",
            methods={"echo", "slow"},
            publications={"items", "others"},
            ejson=Ejson(),
            config=ServerConfig(**config),
            now=0,
            strategies=strategies,
        )
        if connect is not None:
            self.session.receive(connect, 0)
            self.sent()
            self.session.events()

    def send(self, *texts: str | bytes | dict[str, Any], now: float = 1) -> list[str]:
        for text in texts:
            self.session.receive(json.dumps(text) if isinstance(text, dict) else text, now)
        return self.sent()

    def sent(self) -> list[str]:
        return [text.decode() for text in self.session.texts_to_send()]

    def call(self, call_id: str = "1", name: str = "echo", params: Sequence[Any] = ()) -> Any:
        message = {"msg": "method", "id": call_id, "method": name, "params": params}
        self.session.receive(json.dumps(message), 1)
        (event,) = self.session.events()
        assert isinstance(event, MethodCalled)
        return event

    def subscribe(self, sub_id: str = "s", name: str = "items") -> Subscribed:
        assert self.send({"msg": "sub", "id": sub_id, "name": name}) == []
        (event,) = self.session.events()
        assert isinstance(event, Subscribed)
        self.session.unblock(event)
        return event


def error(reason: str, offending: str | None = None) -> str:
    tail = "" if offending is None else f',"offendingMessage":{offending}'
    return f'{{"msg":"error","reason":"{reason}"{tail}}}'


def text(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def wire_error(fields: dict[str, Any]) -> dict[str, Any]:
    """The whole error object: its keys come in exactly this order."""
    return {"isClientSafe": True} | fields | {"errorType": "Meteor.Error"}


# Negotiation


@pytest.mark.parametrize("version", ["1", "pre2", "pre1"])
def test_connect(version: str) -> None:
    wire = Wire(None)
    answer = wire.send({"msg": "connect", "version": version, "support": [version]})
    assert answer == ['{"msg":"connected","session":"S1"}']
    assert wire.session.events() == [SessionStarted("S1", version)]
    assert wire.session.version == version


def test_an_offered_session_is_never_claimed() -> None:
    wire = Wire(None)
    connect = {"msg": "connect", "session": "old", "receivedCount": 7, "version": "1"}
    assert wire.send(connect | {"support": ["1"]}) == ['{"msg":"connected","session":"S1"}']


@pytest.mark.parametrize(
    ("connect", "version"),
    [
        ({}, "1"),
        ({"version": 1, "support": ["1"]}, "1"),
        ({"version": "1", "support": "1"}, "1"),
        ({"version": "1", "support": [1]}, "1"),
        ({"version": "1", "support": ["pre1"]}, "1"),
        ({"version": "9", "support": ["9"]}, "1"),
        ({"version": "pre1", "support": ["1", "pre1"]}, "1"),
        ({"version": "1", "support": ["pre2", "1"]}, "pre2"),
        ({"version": "2", "support": ["2", "pre1"]}, "pre1"),
    ],
)
def test_failed_negotiation(connect: dict[str, Any], version: str) -> None:
    wire = Wire(None)
    pipelined = {"msg": "method", "id": "1", "method": "echo"}
    answer = wire.send({"msg": "connect"} | connect, pipelined)
    assert answer == [f'{{"msg":"failed","version":"{version}"}}']
    assert wire.session.events() == [Closed(1000, "")]


def test_pipelined_behind_connect() -> None:
    wire = Wire(None)
    ping = {"msg": "ping", "id": "x"}
    assert wire.send(CONNECT, ping)[1] == '{"msg":"pong","id":"x"}'


# Garbage


@pytest.mark.parametrize("text", ["", "null", "5", '"x"', "{", "nope", "\ud800", b"\xff\xfe"])
@pytest.mark.parametrize("connect", [None, CONNECT])
def test_not_a_message(connect: str | None, text: str | bytes) -> None:
    assert Wire(connect).send(text) == [error("Bad request")]


@pytest.mark.parametrize("text", ["[]", "[1]", "{}", '{"a":1}', '{"msg":null}', '{"msg":""}'])
@pytest.mark.parametrize("connect", [None, CONNECT])
def test_no_usable_msg(connect: str | None, text: str) -> None:
    assert Wire(connect).send(text) == [error("Bad request", text)]


@pytest.mark.parametrize("text", ['{"msg":"nope"}', '{"msg":5}', '{"msg":"added"}', '{"msg":{}}'])
def test_unknown_msg(text: str) -> None:
    reason = "Bad request"
    assert Wire().send(text) == [error(reason, text)]


def test_before_connect() -> None:
    for text in ('{"msg":"ping"}', '{"msg":"method","id":"1","method":"echo"}', '{"msg":"nope"}'):
        assert Wire(None).send(text) == [error("Must connect first", text)]


def test_connect_twice() -> None:
    assert Wire().send(CONNECT) == [error("Already connected", CONNECT)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"msg":"sub","id":1,"name":"items"}', "subscription"),
        ('{"msg":"sub","id":"1"}', "subscription"),
        ('{"msg":"sub","id":"1","name":5}', "subscription"),
        ('{"msg":"sub","id":"1","name":"items","params":{}}', "subscription"),
        ('{"msg":"sub","id":"1","name":"items","params":null}', "subscription"),
        ('{"msg":"method","id":1,"method":"echo"}', "method invocation"),
        ('{"msg":"method","id":"1","method":null}', "method invocation"),
        ('{"msg":"method","id":"1","method":"echo","params":5}', "method invocation"),
        ('{"msg":"method","id":"1","method":"echo","randomSeed":5}', "method invocation"),
        ('{"msg":"unsub","id":5}', "unsubscription"),
        ('{"msg":"unsub"}', "unsubscription"),
    ],
)
def test_malformed(text: str, kind: str) -> None:
    wire = Wire()
    assert wire.send(text) == [error(f"Malformed {kind}", text)]
    assert wire.session.events() == []
    wire.call()


def test_a_complaint_waits_for_its_turn() -> None:
    wire = Wire()
    call = wire.call()
    assert wire.send('{"msg":"unsub","id":5}') == []
    wire.session.method_done(call, 1)
    assert len(wire.sent()) == 3


def test_deeply_nested_garbage() -> None:
    assert Wire().send('{"msg":"nope","x":' + "[" * 100_000) == [error("Bad request")]


# Pings and time


def test_ping_overtakes_a_slow_method() -> None:
    wire = Wire()
    wire.call()
    assert wire.send({"msg": "ping"}, {"msg": "ping", "id": "7"}, {"msg": "ping", "id": 7}) == [
        '{"msg":"pong"}',
        '{"msg":"pong","id":"7"}',
        '{"msg":"pong","id":7}',
    ]


def test_pre1_has_no_ping() -> None:
    wire = Wire('{"msg":"connect","version":"pre1","support":["pre1"]}')
    for text in ('{"msg":"ping"}', '{"msg":"pong"}'):
        assert wire.send(text) == [error("Bad request", text)]
    assert wire.session.next_timer() is None


def test_heartbeat() -> None:
    wire = Wire(heartbeat=HeartbeatConfig(interval=15, timeout=10))
    assert wire.session.next_timer() == 15
    wire.session.handle_timer(15)
    assert wire.sent() == ['{"msg":"ping"}']
    assert wire.send({"msg": "pong"}, now=16) == []
    wire.session.handle_timer(30)
    wire.session.handle_timer(45)
    assert wire.sent() == ['{"msg":"ping"}']
    wire.session.handle_timer(54.9)
    assert wire.session.events() == []
    wire.session.handle_timer(55)
    assert wire.session.events() == [Closed(1000, "Normal closure")]
    assert wire.session.next_timer() is None


def test_a_socket_that_never_connects() -> None:
    wire = Wire(None, connect_timeout=45)
    wire.send("garbage", now=44)
    assert wire.session.next_timer() == 45
    wire.session.handle_timer(44.9)
    assert wire.session.events() == []
    wire.session.handle_timer(45)
    assert wire.session.events() == [Closed(1000, "no connect message")]


def test_disconnect_is_accepted_silently() -> None:
    wire = Wire()
    assert wire.send({"msg": "disconnect"}) == []
    assert wire.session.events() == [Closed(1000, "")]
    assert wire.send({"msg": "ping"}) == []


# Methods


def test_updated_then_result() -> None:
    wire = Wire()
    call = wire.call("7", params=["hi", {"$date": 0}])
    assert call.name == "echo"
    assert call.params[0] == "hi"
    assert call.params[1].year == 1970
    assert call.random_seed is None
    wire.session.method_done(call, call.params)
    assert wire.sent() == [
        '{"msg":"updated","methods":["7"]}',
        '{"msg":"result","id":"7","result":["hi",{"$date":0}]}',
    ]


def test_undefined_and_null_results() -> None:
    wire = Wire()
    wire.session.method_done(wire.call("1"), UNDEFINED)
    wire.session.method_done(wire.call("2"), None)
    assert wire.sent()[1::2] == [
        '{"msg":"result","id":"1"}',
        '{"msg":"result","id":"2","result":null}',
    ]


def test_missing_params_extra_fields_empty_id_and_seed() -> None:
    wire = Wire()
    wire.send('{"msg":"method","method":"echo","id":"","randomSeed":"abc","noise":[1]}')
    (call,) = wire.session.events()
    assert isinstance(call, MethodCalled)
    assert (call.id, call.params, call.random_seed) == ("", [], "abc")


@pytest.mark.parametrize(
    ("failure", "fields"),
    [
        (
            MethodError("bad-thing", "It went wrong", {"why": 42}),
            {"error": "bad-thing", "reason": "It went wrong", "details": {"why": 42}}
            | {"message": "It went wrong [bad-thing]"},
        ),
        (
            MethodError("bare"),
            {"error": "bare", "message": "[bare]"},
        ),
        (
            MethodError(403, "Forbidden"),
            {"error": 403, "reason": "Forbidden", "message": "Forbidden [403]"},
        ),
    ],
)
def test_error_form(failure: MethodError, fields: dict[str, Any]) -> None:
    wire = Wire()
    wire.session.method_failed(wire.call(), failure)
    assert wire.sent() == [
        '{"msg":"updated","methods":["1"]}',
        text({"msg": "result", "id": "1", "error": wire_error(fields)}),
    ]


@pytest.mark.parametrize("name", ["nope", "toString", "constructor", "__init__", ""])
def test_unknown_method(name: str) -> None:
    reason = f"Method '{name}' not found"
    not_found = {"error": 404, "reason": reason, "message": f"{reason} [404]"}
    assert Wire().send({"msg": "method", "id": "1", "method": name}) == [
        text({"msg": "result", "id": "1", "error": wire_error(not_found)}),
        '{"msg":"updated","methods":["1"]}',
    ]


def test_bad_ejson_in_params_is_a_400_and_the_session_lives() -> None:
    wire = Wire()
    updated, result = wire.send(
        {"msg": "method", "id": "1", "method": "echo", "params": [{"$type": "no", "$value": 1}]}
    )
    assert updated == '{"msg":"updated","methods":["1"]}'
    assert json.loads(result)["error"]["error"] == 400
    (nosub,) = wire.send({"msg": "sub", "id": "1", "name": "items", "params": [{"$date": "x"}]})
    assert json.loads(nosub)["error"]["error"] == 400
    wire.call("2")


def test_a_result_that_can_not_be_written_can_still_fail() -> None:
    wire = Wire()
    call = wire.call()
    with pytest.raises(EjsonError):
        wire.session.method_done(call, object())
    assert wire.sent() == []
    wire.session.method_failed(call, MethodError(500, "Internal server error"))
    assert len(wire.sent()) == 2


def test_methods_wait_for_each_other_unless_unblocked() -> None:
    wire = Wire()
    first = wire.call("1")
    wire.send({"msg": "method", "id": "2", "method": "echo"})
    wire.send({"msg": "method", "id": "3", "method": "echo"})
    assert wire.session.events() == []
    assert wire.session.is_blocking(first)
    wire.session.unblock(first)
    wire.session.unblock(first)
    (second,) = wire.session.events()
    assert isinstance(second, MethodCalled)
    assert second.id == "2"
    wire.session.method_done(first, 1)
    assert wire.session.events() == []
    wire.session.method_done(second, 2)
    (third,) = wire.session.events()
    assert isinstance(third, MethodCalled)
    assert [json.loads(text).get("id") for text in wire.sent()] == [None, "1", None, "2"]


def test_an_id_used_twice_runs_once_and_is_answered_each_time() -> None:
    wire = Wire()
    call = wire.call("1")
    wire.session.unblock(call)
    again = {"msg": "method", "id": "1", "method": "echo"}
    assert wire.send(again) == []
    assert wire.session.events() == []
    wire.session.method_done(call, 5)
    answer = ['{"msg":"updated","methods":["1"]}', '{"msg":"result","id":"1","result":5}']
    assert wire.sent() == answer * 2
    assert wire.send(again) == answer
    assert wire.session.events() == []


def test_only_so_many_answers_are_remembered() -> None:
    wire = Wire(remembered_answers=2, remembered_bytes=100)
    for call_id in ("1", "2", "3"):
        wire.session.method_done(wire.call(call_id), None)
    wire.session.method_done(wire.call("big"), "x" * 100)
    wire.sent()
    assert len(wire.send({"msg": "method", "id": "2", "method": "echo"})) == 2
    wire.session.method_done(wire.call("1"), None)
    wire.call("big")


# Subscriptions


def test_documents_and_ready() -> None:
    wire = Wire()
    sub = wire.subscribe()
    view = wire.session.view
    view.added(sub, "items", "a", {"n": 1, "_id": "a"})
    view.added(sub, "items", "b", {})
    view.changed(sub, "items", "a", {"n": 2, "gone": UNDEFINED})
    view.changed(sub, "items", "a", {"n": UNDEFINED, "m": 1})
    view.changed(sub, "items", "a", {"m": 1})
    view.ready(sub)
    view.ready(sub)
    view.removed(sub, "items", "b")
    assert wire.sent() == [
        '{"msg":"added","collection":"items","id":"a","fields":{"n":1}}',
        '{"msg":"added","collection":"items","id":"b"}',
        '{"msg":"changed","collection":"items","id":"a","fields":{"n":2}}',
        '{"msg":"changed","collection":"items","id":"a","fields":{"m":1},"cleared":["n"]}',
        '{"msg":"ready","subs":["s"]}',
        '{"msg":"removed","collection":"items","id":"b"}',
    ]


def test_unsub_takes_back_then_says_nosub() -> None:
    wire = Wire()
    first, second = wire.subscribe("1"), wire.subscribe("2")
    wire.session.view.added(first, "items", "a", {"x": 1})
    wire.session.view.added(first, "items", "b", {"x": 1})
    wire.session.view.added(second, "items", "b", {"y": 1})
    wire.sent()
    assert wire.send({"msg": "unsub", "id": "1"}) == [
        '{"msg":"removed","collection":"items","id":"a"}',
        '{"msg":"changed","collection":"items","id":"b","cleared":["x"]}',
        '{"msg":"nosub","id":"1"}',
    ]
    assert wire.session.events() == [Unsubscribed(first)]
    wire.session.view.added(first, "items", "z", {})
    wire.session.view.removed(first, "items", "a")
    wire.session.view.ready(first)
    wire.session.view.end(first)
    assert wire.sent() == []


def test_unsub_of_an_unknown_id_is_answered() -> None:
    assert Wire().send({"msg": "unsub", "id": "x"}) == ['{"msg":"nosub","id":"x"}']


def test_a_sub_id_that_is_alive_is_ignored() -> None:
    wire = Wire()
    sub = wire.subscribe("1")
    assert wire.send({"msg": "sub", "id": "1", "name": "others"}) == []
    assert wire.session.events() == []
    wire.session.view.end(sub)
    wire.sent()
    wire.subscribe("1")


def test_unknown_publication() -> None:
    reason = "Subscription 'x' not found"
    not_found = {"error": 404, "reason": reason, "message": f"{reason} [404]"}
    assert Wire().send({"msg": "sub", "id": "1", "name": "x"}) == [
        text({"msg": "nosub", "id": "1", "error": wire_error(not_found)})
    ]


def test_stop_and_error_from_the_publisher() -> None:
    wire = Wire()
    stopped, failed = wire.subscribe("1"), wire.subscribe("2")
    wire.session.view.added(failed, "items", "a", {})
    wire.session.view.end(stopped)
    wire.session.view.end(failed, MethodError("later", "err"))
    later = {"error": "later", "reason": "err", "message": "err [later]"}
    assert wire.sent()[1:] == [
        '{"msg":"nosub","id":"1"}',
        '{"msg":"removed","collection":"items","id":"a"}',
        text({"msg": "nosub", "id": "2", "error": wire_error(later)}),
    ]


def test_unsub_waits_for_the_publisher_to_return() -> None:
    wire = Wire()
    wire.send({"msg": "sub", "id": "1", "name": "items"}, {"msg": "unsub", "id": "1"})
    (sub,) = wire.session.events()
    assert isinstance(sub, Subscribed)
    wire.session.view.ready(sub)
    assert wire.sent() == ['{"msg":"ready","subs":["1"]}']
    wire.session.unblock(sub)
    assert wire.sent() == ['{"msg":"nosub","id":"1"}']


def test_publishing_what_can_not_be_written_changes_nothing() -> None:
    wire = Wire()
    sub = wire.subscribe()
    with pytest.raises(EjsonError):
        wire.session.view.added(sub, "items", "a", {"x": object()})
    with pytest.raises(LookupError):
        wire.session.view.changed(sub, "items", "a", {"x": 1})
    assert wire.sent() == []


def test_rerun_for_another_user_sends_only_the_difference() -> None:
    wire = Wire()
    first, second = wire.subscribe("1"), wire.subscribe("2")
    view = wire.session.view
    view.added(first, "items", "same", {"x": 1})
    view.added(first, "items", "old", {})
    view.added(second, "items", "theirs", {"x": 1})
    view.ready(first)
    wire.sent()
    fresh_first, fresh_second = view.begin_rerun()
    view.added(first, "items", "late", {})
    view.added(fresh_first, "items", "same", {"x": 1})
    view.added(fresh_first, "items", "new", {})
    view.ready(fresh_first)
    view.end(fresh_second, MethodError(403, "No"))
    assert wire.sent() == []
    view.end_rerun()
    texts = [json.loads(text) for text in wire.sent()]
    assert [(text["msg"], text.get("id", text.get("subs"))) for text in texts] == [
        ("removed", "old"),
        ("removed", "theirs"),
        ("added", "new"),
        ("nosub", "2"),
        ("ready", ["1"]),
    ]
    view.added(fresh_first, "items", "after", {})
    assert len(wire.sent()) == 1


# The end


def test_nothing_is_said_after_the_end() -> None:
    wire = Wire()
    sub, call = wire.subscribe(), wire.call()
    wire.session.close(1001, "going away")
    wire.session.close(1000, "again")
    assert wire.session.events() == [Closed(1001, "going away")]
    wire.session.method_done(call, 1)
    wire.session.view.added(sub, "items", "a", {})
    wire.session.handle_timer(1e9)
    assert wire.send({"msg": "ping"}) == []
    assert wire.session.events() == []


MESSAGES = st.fixed_dictionaries(
    {
        "msg": st.sampled_from(
            ["connect", "method", "sub", "unsub", "ping", "pong", "nope", "disconnect"]
        )
    },
    optional={
        "id": st.sampled_from(["", "1", "2", 5, None]),
        "method": st.sampled_from(["echo", "nope", 5]),
        "name": st.sampled_from(["items", "nope", 5]),
        "params": st.sampled_from([[], [1], {}, None, [{"$date": "x"}]]),
        "version": st.sampled_from(["1", "pre1", 5]),
        "support": st.sampled_from([["1"], ["pre1", "1"], 5]),
    },
).map(json.dumps)


@given(st.lists(MESSAGES | st.text() | st.binary(), max_size=30), st.randoms())
def test_any_texts_in_any_order(texts: list[str | bytes], draw: Any) -> None:
    """Whatever comes, the session answers in whole messages and its queue goes on."""
    wire = Wire(None if draw.random() < 0.2 else CONNECT)
    closed = False
    for text in texts:
        for sent in wire.send(text):
            assert "msg" in json.loads(sent)
        for event in wire.session.events():
            assert not closed
            closed = isinstance(event, Closed)
            if isinstance(event, MethodCalled):
                wire.session.method_done(event, None)
            elif isinstance(event, Subscribed):
                wire.session.unblock(event)
    answer = wire.send({"msg": "ping", "id": "last"})
    assert (answer == []) == closed


# Strategies


def test_a_rerun_sends_what_is_not_known_here_at_once_and_the_rest_at_its_end() -> None:
    wire = Wire(strategies={"multi": Strategy.NO_MERGE_MULTI, "ids": Strategy.NO_MERGE})
    view = wire.session.view
    old = wire.subscribe()
    for collection in ("multi", "ids"):
        view.added(old, collection, "a", {"n": 1})
        view.added(old, collection, "b", {"n": 1})
    wire.sent()
    (new,) = view.begin_rerun()
    view.added(new, "multi", "b", {"n": 2})
    assert wire.sent() == []
    view.added(new, "ids", "b", {"n": 2})
    assert wire.sent() == ['{"msg":"added","collection":"ids","id":"b","fields":{"n":2}}']
    view.end_rerun()
    assert wire.sent() == [
        '{"msg":"removed","collection":"multi","id":"a"}',
        '{"msg":"removed","collection":"ids","id":"a"}',
        '{"msg":"changed","collection":"multi","id":"b","fields":{"n":2}}',
    ]

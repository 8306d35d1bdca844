"""The server's session: garbage is answered, and nothing is said after the end."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rpc.ddp.events import Closed, Dropped, MethodCalled, Subscribed
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from tests.shared.rpc.ddp.conftest import CONNECT, Wire, complaint


@pytest.mark.parametrize("text", ["", "null", "5", '"x"', "{", "nope", "\ud800", b"\xff\xfe"])
def test_not_a_message(text: str | bytes) -> None:
    assert Wire().send(text) == [complaint("Bad request")]


@pytest.mark.parametrize("text", ["[]", "[1]", "{}", '{"a":1}', '{"msg":null}', '{"msg":""}'])
def test_no_usable_msg(text: str) -> None:
    assert Wire().send(text) == [complaint("Bad request", text)]


@pytest.mark.parametrize("text", ['{"msg":"nope"}', '{"msg":5}', '{"msg":"added"}', '{"msg":{}}'])
def test_unknown_msg(text: str) -> None:
    reason = "Bad request"
    assert Wire().send(text) == [complaint(reason, text)]


def test_connect_twice() -> None:
    assert Wire().send(CONNECT) == [complaint("Already connected", CONNECT)]


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
    assert wire.send(text) == [complaint(f"Malformed {kind}", text)]
    assert wire.session.events() == []
    wire.call()


def test_a_complaint_waits_for_its_turn() -> None:
    wire = Wire()
    call = wire.call()
    assert wire.send('{"msg":"unsub","id":5}') == []
    wire.session.method_done(call, 1)
    assert len(wire.sent()) == 3


def test_deeply_nested_garbage() -> None:
    assert Wire().send('{"msg":"nope","x":' + "[" * 100_000) == [complaint("Bad request")]


def test_ping_overtakes_a_slow_method() -> None:
    wire = Wire()
    wire.call()
    assert wire.send({"msg": "ping"}, {"msg": "ping", "id": "7"}, {"msg": "ping", "id": 7}) == [
        '{"msg":"pong"}',
        '{"msg":"pong","id":"7"}',
        '{"msg":"pong","id":7}',
    ]


def test_pre1_has_no_ping() -> None:
    wire = Wire("pre1")
    for text in ('{"msg":"ping"}', '{"msg":"pong"}'):
        assert wire.send(text) == [complaint("Bad request", text)]
    wire.session.handle_timer(1000)
    assert wire.sent() == []


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
    assert wire.session.events() == [Dropped(1000, "Normal closure")]
    assert wire.session.is_open


def test_what_it_is_sent_is_a_sign_of_life_while_nothing_is_read() -> None:
    wire = Wire(heartbeat=HeartbeatConfig(interval=15, timeout=10))
    wire.session.handle_timer(15)
    wire.session.other_side_is_alive()
    wire.session.handle_timer(30)
    assert wire.session.events() == []


def test_an_idle_session_is_closed() -> None:
    wire = Wire(idle_timeout=20, heartbeat=HeartbeatConfig(interval=1000))
    assert wire.session.next_timer() == 20
    wire.send({"msg": "unsub", "id": "x"}, now=5)
    wire.send({"msg": "ping"}, {"msg": "pong"}, now=19)
    wire.session.handle_timer(20)
    assert wire.session.events() == []
    assert wire.session.next_timer() == 25
    wire.session.handle_timer(24.9)
    assert wire.session.events() == []
    wire.session.handle_timer(25)
    assert wire.session.events() == [Closed(1000, "idle")]


def test_what_runs_or_is_published_keeps_a_session_from_being_idle() -> None:
    wire = Wire(idle_timeout=20)
    call = wire.call()
    wire.session.handle_timer(21)
    wire.session.method_done(call, 1)
    wire.sent()
    subscribed = wire.subscribe()
    wire.session.handle_timer(41)
    wire.session.view.end(subscribed)
    assert wire.session.events() == []
    wire.session.handle_timer(61)
    assert wire.session.events() == [Closed(1000, "idle")]


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_how_deep_a_message_may_be_nested() -> None:
    wire = Wire(max_depth=10)
    head = '{"msg":"method","id":"1","method":"echo","params":'
    wire.send(head + nested(9) + "}")
    (call,) = wire.session.events()
    assert isinstance(call, MethodCalled)
    wire.session.method_done(call, 1)
    wire.sent()
    updated, result = wire.send(head.replace('"1"', '"2"') + nested(10) + "}")
    assert updated == '{"msg":"updated","methods":["2"]}'
    assert json.loads(result)["error"]["reason"] == "Nested too deeply"
    (nosub,) = wire.send('{"msg":"sub","id":"1","name":"items","params":' + nested(10) + "}")
    assert json.loads(nosub)["error"]["error"] == 400
    for deep in ('{"msg":"ping","id":', '{"msg":"nope","x":', '{"x":'):
        assert wire.send(deep + nested(10) + "}") == [complaint("Bad request")]
    assert len(wire.send('{"msg":"ping","id":' + nested(9) + "}")) == 1


def test_disconnect_is_accepted_silently() -> None:
    wire = Wire()
    assert wire.send({"msg": "disconnect"}) == []
    assert wire.session.events() == [Closed(1000, "")]
    assert wire.send({"msg": "ping"}) == []


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
    """Whatever comes, and over however many connections, the session answers in whole messages and its queue goes on."""
    wire = Wire(max_methods=4, max_subscriptions=2, max_depth=3)
    closed = False
    for text in texts:
        if not closed and draw.random() < 0.2:
            wire.session.detach()
            assert wire.come_back(now=1)
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

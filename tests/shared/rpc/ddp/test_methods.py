"""Methods of a session: in their turn, once, and answered exactly as Meteor does."""

import json
from typing import Any

import pytest

from shared.rpc.ddp.events import Closed, MethodCalled
from shared.rpc.ejson import UNDEFINED
from shared.rpc.errors import EjsonError, MethodError
from tests.shared.rpc.ddp.conftest import Wire, answers, compact, method, wire_error


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
        compact({"msg": "result", "id": "1", "error": wire_error(fields)}),
    ]


@pytest.mark.parametrize("name", ["nope", "toString", "constructor", "__init__", ""])
def test_unknown_method(name: str) -> None:
    reason = f"Method '{name}' not found"
    not_found = {"error": 404, "reason": reason, "message": f"{reason} [404]"}
    assert Wire().send({"msg": "method", "id": "1", "method": name}) == [
        compact({"msg": "result", "id": "1", "error": wire_error(not_found)}),
        '{"msg":"updated","methods":["1"]}',
    ]


def test_an_unknown_method_that_waits_is_answered_as_often_as_it_was_asked_for() -> None:
    wire = Wire()
    blocking = wire.call()
    unknown = {"msg": "method", "id": "2", "method": "nope"}
    assert wire.send(unknown, unknown) == []
    wire.session.method_done(blocking, None)
    _, _, result, updated, *again = wire.sent()
    assert '"error":404' in result
    assert again == [result, updated]


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


def test_a_result_that_is_too_large_to_remember_does_not_make_it_run_again() -> None:
    wire = Wire(remembered_bytes=400)
    wire.session.method_done(wire.call("1"), "x" * 200)
    wire.sent()
    updated, result = wire.send(method("1"))
    assert updated == '{"msg":"updated","methods":["1"]}'
    assert json.loads(result)["error"]["error"] == "result-lost"
    assert wire.session.events() == []


def test_only_so_many_answers_are_remembered() -> None:
    wire = Wire(remembered_answers=2)
    for call_id in ("1", "2", "3"):
        wire.session.method_done(wire.call(call_id), 5)
    wire.sent()
    assert wire.send(method("2")) == answers("2", "5")
    wire.call("1")


# Limits


def began(wire: Wire) -> list[str]:
    return [event.id for event in wire.session.events() if isinstance(event, MethodCalled)]


def refusal(texts: list[str]) -> Any:
    assert len(texts) == 2
    return json.loads(texts[1])["error"]


def test_only_so_many_methods_may_run_or_wait() -> None:
    wire = Wire(max_methods=3)
    running = wire.call("1")
    wire.session.unblock(running)
    blocking = wire.call("2")
    assert wire.send(method("3")) == []
    error = refusal(wire.send(method("4")))
    assert (error["error"], error["details"]) == ("busy", {"retryAfterMs": 1000})
    assert wire.send(method("1"), method("3")) == []  # known ones count once
    wire.session.method_done(blocking, 2)
    assert wire.send(method("4")) == answers("2", "2")
    assert began(wire) == ["3"]


def test_only_so_many_bytes_may_wait() -> None:
    text = compact(method("2", "echo", "x" * 400))
    wire = Wire(max_queued_bytes=2 * (len(text) + 200))
    blocking = wire.call("1")
    assert wire.send(text, text.replace('"2"', '"3"')) == []
    assert refusal(wire.send(method("4")))["error"] == "busy"
    (nosub,) = wire.send({"msg": "sub", "id": "s", "name": "items"})
    assert json.loads(nosub)["error"]["error"] == "busy"
    assert wire.send({"msg": "unsub", "id": "s"}) == []
    wire.session.method_done(blocking, 1)
    assert began(wire) == ["2"]
    assert wire.send(method("4")) == answers("1", "1")  # there is room again


def test_what_must_wait_may_not_be_endless_either() -> None:
    wire = Wire(max_queued_bytes=1000)
    wire.call("1")
    unsub = '{"msg":"unsub","id":""}'
    fitting = 2000 // (len(unsub) + 200)
    assert wire.send(*[unsub] * fitting) == []
    assert wire.session.events() == []
    wire.send(unsub)
    assert wire.session.events() == [Closed(1008, "too many messages wait")]


def test_a_method_that_does_not_wait_may_be_as_long_as_any() -> None:
    wire = Wire(max_queued_bytes=100)
    assert wire.call("1", "echo", ["x" * 1000]).params == ["x" * 1000]

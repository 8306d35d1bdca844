"""Methods, byte for byte and in order: results, errors, EJSON, users, the queue."""

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.conformance.conftest import serving
from tests.conformance.server import ddp_server
from tests.support.ddp import Wire, method, sub


def updated(call_id: str = "1") -> str:
    return f'{{"msg":"updated","methods":["{call_id}"]}}'


def result(value: str, call_id: str = "1") -> str:
    return f'{{"msg":"result","id":"{call_id}","result":{value}}}'


def failed(error: str, call_id: str = "1") -> str:
    """The result of a method that failed; ``error`` is what is between the fixed ends."""
    return (
        f'{{"msg":"result","id":"{call_id}","error":{{"isClientSafe":true,{error},'
        f'"errorType":"Meteor.Error"}}}}'
    )


INTERNAL = '"error":500,"reason":"Internal server error","message":"Internal server error [500]"'


@pytest.mark.parametrize(
    ("name", "params", "value"),
    [
        ("echo", ["hi", 5, None, {"a": [1.5]}], '["hi",5,null,{"a":[1.5]}]'),
        ("echo", [], "[]"),
        ("add", [2, 3], "5"),
        ("nul", [], "null"),
        ("bin", [], '{"$binary":"AQID"}'),
        ("inf", [], '[{"$InfNaN":1},{"$InfNaN":-1},{"$InfNaN":0}]'),
        ("oid", [], '{"$type":"oid","$value":"aabbccddeeff001122334455"}'),
        ("re", [], '{"$regexp":"a.b","$flags":"gi"}'),
        ("lit", [], '{"$escape":{"$date":5}}'),
        ("dt", [], '{"a":[{"$date":5}]}'),
        ("who", [], "null"),
    ],
)
async def test_results(wire: Wire, name: str, params: list[Any], value: str) -> None:
    assert await wire.ask(method("1", name, *params)) == [updated(), result(value)]


async def test_41_an_undefined_result_is_none(wire: Wire) -> None:
    assert await wire.ask(method("1", "nothing")) == [updated(), '{"msg":"result","id":"1"}']


@pytest.mark.parametrize(
    "value",
    [
        '{"$date":1700000000000}',
        '{"$type":"oid","$value":"aabbccddeeff001122334455"}',
        '{"$escape":{"$date":5}}',
        '{"$literal":{"$date":5}}',
        '{"$InfNaN":1}',
        '{"$binary":"AQID"}',
        '{"$date":5,"x":1}',
        '{"$foo":1}',
    ],
)
async def test_42_what_is_echoed_comes_back_as_it_was(wire: Wire, value: str) -> None:
    call = f'{{"msg":"method","id":"1","method":"echo","params":[{value}]}}'
    assert await wire.ask(call) == [updated(), result(f"[{value}]")]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (
            "fail",
            (
                '"error":"bad-thing","reason":"It went wrong",'
                '"details":{"why":42,"at":"2023-11-14T22:13:20.000Z"},'
                '"message":"It went wrong [bad-thing]"'
            ),
        ),
        ("failBare", '"error":"bare","message":"[bare]"'),
        ("failNum", '"error":403,"reason":"Forbidden","message":"Forbidden [403]"'),
        ("clientSafe", '"error":"cs","reason":"r","details":"d","message":"r [cs]"'),
        ("sanitized", '"error":400,"reason":"Match failed","message":"Match failed [400]"'),
    ],
)
async def test_37_errors_survive_the_wire(wire: Wire, name: str, error: str) -> None:
    assert await wire.ask(method("1", name)) == [updated(), failed(error)]


@pytest.mark.parametrize("name", ["boom", "throwStr"])
async def test_43_other_exceptions_show_nothing_of_themselves(wire: Wire, name: str) -> None:
    with capture_logs() as logs:
        assert await wire.ask(method("1", name)) == [updated(), failed(INTERNAL)]
    assert [entry["event"] for entry in logs] == ["rpc.method_failed"]


@pytest.mark.parametrize("name", ["nope", "toString", "constructor", "__init__", ""])
async def test_40_an_unknown_method(wire: Wire, name: str) -> None:
    reason = f"Method '{name}' not found"
    error = f'"error":404,"reason":"{reason}","message":"{reason} [404]"'
    assert await wire.ask(method("1", name)) == [failed(error), updated()]


async def test_methods_wait_for_each_other(wire: Wire) -> None:
    answers = await wire.ask(
        method("1", "slow", 20, "a"), method("2", "slow", 1, "b"), method("3", "seq")
    )
    assert answers == [
        *(updated("1"), result('"a"', "1"), updated("2"), result('"b"', "2"), updated("3")),
        result('["start a","end a","start b","end b"]', "3"),
    ]


async def test_unblocked_methods_do_not(wire: Wire) -> None:
    await wire.send(method("1", "slowUnblock", 50, "a"), method("2", "slow", 1, "b"))
    assert await wire.take(4) == [
        *(updated("2"), result('"b"', "2")),
        *(updated("1"), result('"a"', "1")),
    ]
    answers = await wire.ask(method("3", "seq"))
    assert answers[1] == result('["start a","start b","end b","end a"]', "3")


async def test_pings_overtake(wire: Wire) -> None:
    await wire.send(method("1", "slow", 30, "a"), {"msg": "ping"}, {"msg": "ping", "id": "x"})
    assert await wire.take(4) == [
        *('{"msg":"pong"}', '{"msg":"pong","id":"x"}'),
        *(updated(), result('"a"')),
    ]


async def test_the_write_fence_spans_every_session(peer: str, wire: Wire) -> None:
    async with Wire.to(peer) as other:
        for one in (wire, other):
            await one.ask(sub("s", "items"))
        await wire.send(method("1", "write", 20))
        changed = '{"msg":"changed","collection":"items","id":"a","fields":{"w":20}}'
        assert await wire.take(3) == [result('"written"'), changed, updated()]
        assert await other.next() == changed


async def test_own_data_comes_before_updated(wire: Wire) -> None:
    await wire.ask(sub("s", "items"))
    assert await wire.ask(method("1", "touch")) == [
        '{"msg":"changed","collection":"items","id":"a","fields":{"n":2},"cleared":["gone"]}',
        '{"msg":"removed","collection":"items","id":"b"}',
        *(updated(), '{"msg":"result","id":"1"}'),
    ]


async def test_45_set_user_sends_only_the_difference(wire: Wire) -> None:
    await wire.ask(sub("s", "items"), sub("t", "items2"))
    assert await wire.ask(method("1", "setUser", "ada")) == [
        '{"msg":"changed","collection":"items","id":"a","fields":{"user":"ada"}}',
        '{"msg":"ready","subs":["s","t"]}',
        *(updated(), '{"msg":"result","id":"1"}'),
    ]
    assert await wire.ask(method("2", "who")) == [updated("2"), result('"ada"', "2")]
    assert len(await wire.ask(method("3", "setUser", None))) == 4


async def test_6_the_connection_of_a_method(wire: Wire) -> None:
    (_, answer) = await wire.ask(method("1", "conn"))
    found = json.loads(answer)["result"]
    assert found["id"] == wire.session
    assert found["addr"] == "127.0.0.1"
    assert {"host", "user-agent"} == set(found["h"])


async def test_103_ids_from_a_seed(wire: Wire) -> None:
    seeded = method("1", "rand", randomSeed="abc123")
    assert await wire.ask(seeded) == [updated(), result('["abc123","vCmpe6YmPDL5J27SB"]')]
    (_, answer) = await wire.ask(method("2", "rand"))
    assert json.loads(answer)["result"][0] is None


async def test_an_id_used_twice_runs_once(wire: Wire) -> None:
    seq = method("2", "seq")
    answers = await wire.ask(method("1", "slow", 1, "a"), method("1", "slow", 1, "a"), seq)
    assert answers == [
        *(updated(), result('"a"')) * 2,
        *(updated("2"), result('["start a","end a"]', "2")),
    ]


async def test_92_too_many_requests() -> None:
    async with serving(ddp_server(limit=True)) as url, Wire.to(url) as wire:
        calls = [method(str(number), "echo") for number in range(4)]
        answers = await wire.ask(*calls, method("9", "who"))
        assert answers[:6] == [text for n in "012" for text in (updated(n), result("[]", n))]
        wait = json.loads(answers[7])["error"]["details"]["timeToReset"]
        assert 0 < wait <= 1000
        reason = (
            "Error, too many requests. Please slow down. You must wait 1 seconds before "
            "trying again."
        )
        error = (
            f'"error":"too-many-requests","reason":"{reason}",'
            f'"details":{{"timeToReset":{wait}}},"message":"{reason} [too-many-requests]"'
        )
        assert answers[6:] == [
            *(updated("3"), failed(error, "3")),
            *(updated("9"), result("null", "9")),
        ]
        async with Wire.to(url) as other:
            assert await other.ask(method("1", "echo")) == [updated(), result("[]")]

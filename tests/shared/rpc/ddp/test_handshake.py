"""What a client is answered until it has introduced itself."""

import json
from typing import Any

import pytest

from shared.rpc.ddp.handshake import Greeting, Rejection, read_greeting
from tests.shared.rpc.ddp.conftest import complaint


def read(text: str | bytes | dict[str, Any]) -> Greeting | Rejection:
    given = json.dumps(text) if isinstance(text, dict) else text
    return read_greeting(given, versions=("1", "pre2", "pre1"), max_depth=100)


@pytest.mark.parametrize("version", ["1", "pre2", "pre1"])
def test_every_version(version: str) -> None:
    greeting = read({"msg": "connect", "version": version, "support": [version]})
    assert greeting == Greeting(version)


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
    rejection = read({"msg": "connect"} | connect)
    failed = f'{{"msg":"failed","version":"{version}"}}'
    assert rejection == Rejection(failed.encode(), is_final=True)


@pytest.mark.parametrize(
    ("offer", "session", "count"),
    [
        ({"session": "S", "receivedCount": 7}, "S", 7),
        ({"session": "S"}, "S", None),
        ({"session": None, "receivedCount": 1}, None, 1),
        ({"session": 5, "receivedCount": "1"}, None, None),
        ({"session": "S", "receivedCount": 1.0}, "S", None),
        ({"session": "S", "receivedCount": True}, "S", None),
    ],
)
def test_what_it_offers(offer: dict[str, Any], session: str | None, count: int | None) -> None:
    connect = {"msg": "connect", "version": "1", "support": ["1"]} | offer
    assert read(connect) == Greeting("1", session, count)


@pytest.mark.parametrize("text", ["", "null", "5", '"x"', "{", "nope", "\ud800", b"\xff\xfe"])
def test_not_a_message(text: str | bytes) -> None:
    assert read(text) == Rejection(complaint("Bad request").encode())


@pytest.mark.parametrize("text", ["[]", "[1]", "{}", '{"a":1}', '{"msg":null}', '{"msg":""}'])
def test_no_usable_msg(text: str) -> None:
    assert read(text) == Rejection(complaint("Bad request", text).encode())


@pytest.mark.parametrize(
    "text", ['{"msg":"ping"}', '{"msg":"method","id":"1","method":"echo"}', '{"msg":"nope"}']
)
def test_anything_else_must_wait(text: str) -> None:
    assert read(text) == Rejection(complaint("Must connect first", text).encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"msg":"connect","version":"1","support":["1"],"session":' + "[" * 101 + "]" * 101 + "}",
        '{"msg":"nope","x":' + "[" * 100_000,
    ],
)
def test_too_deep(text: str) -> None:
    assert read(text) == Rejection(complaint("Bad request").encode())

"""The texts of the messages: keys in Meteor's order, and errors byte for byte."""

import json

import pytest
from msgspec import UNSET, Raw

from shared.rpc.ddp import messages as m
from shared.rpc.errors import MethodError


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (m.Connected("S"), '{"msg":"connected","session":"S"}'),
        (m.Failed("1"), '{"msg":"failed","version":"1"}'),
        (m.Pong(), '{"msg":"pong"}'),
        (m.Pong("x"), '{"msg":"pong","id":"x"}'),
        (m.NoSub("1"), '{"msg":"nosub","id":"1"}'),
        (m.Ready(["1", "2"]), '{"msg":"ready","subs":["1","2"]}'),
        (m.Removed("c", "1"), '{"msg":"removed","collection":"c","id":"1"}'),
        (
            m.Changed("c", "1", Raw(b'{"a":1}'), ["b"]),
            '{"msg":"changed","collection":"c","id":"1","fields":{"a":1},"cleared":["b"]}',
        ),
        (
            m.Method("1", "f", Raw(b"[]"), "seed"),
            '{"msg":"method","id":"1","method":"f","params":[],"randomSeed":"seed"}',
        ),
        (m.Error("Bad request"), '{"msg":"error","reason":"Bad request"}'),
        (m.Unsub("1"), '{"msg":"unsub","id":"1"}'),
    ],
)
def test_texts(message: m.ClientMessage | m.ServerMessage, text: str) -> None:
    assert m.encode(message).decode() == text


def test_the_tag_may_stand_anywhere() -> None:
    message = m.decode_from_client('{"id":"1","extra":{"a":[]},"method":"f","msg":"method"}')
    assert message == m.Method("1", "f", UNSET, UNSET)


def test_an_error_with_odd_details_is_still_written() -> None:
    odd = MethodError("x", "\ud800", {1: object})
    assert bytes(m.encode_error(odd)).startswith(b'{"isClientSafe":true,"error":"x"')


def test_half_a_character_is_replaced_and_the_message_read() -> None:
    text = '{"msg":"method","id":"1","method":"echo","params":["\\ud83d\\ude00 \\ud800"]}'
    message = m.decode_from_client(text)
    assert isinstance(message, m.Method)
    assert isinstance(message.params, Raw)
    assert json.loads(bytes(message.params)) == ["\U0001f600 \ufffd"]
    with pytest.raises(m.Unreadable):
        m.decode_from_client('{"msg":"nonsense","id":"\\ud800"}')


def test_what_is_sent_back_is_as_meteor_read_it() -> None:
    text = '{"msg":"method","id":5,"params":[{"$date":5},{"$binary":"AQI="}]}'
    found = m.offending(text)
    assert found is not None
    params = json.loads(bytes(found[1]))["params"]
    assert params == ["1970-01-01T00:00:00.005Z", {"0": 1, "1": 2}]

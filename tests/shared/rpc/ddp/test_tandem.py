"""``tandem1``'s messages beside version 1's."""

import pytest
from msgspec import Raw

from shared.rpc.ddp import messages as m
from shared.rpc.ddp import tandem

PAIRS: list[tuple[m.ClientMessage | m.ServerMessage, m.ClientMessage | m.ServerMessage]] = [
    (tandem.Method("1", "a", Raw(b"[]"), "seed"), m.Method("1", "a", Raw(b"[]"), "seed")),
    (tandem.Sub("1", "a", Raw(b"[]")), m.Sub("1", "a", Raw(b"[]"))),
    (tandem.Result("1", result=Raw(b"5")), m.Result("1", result=Raw(b"5"))),
    (tandem.Added("c", "1", Raw(b"{}")), m.Added("c", "1", Raw(b"{}"))),
    (tandem.Changed("c", "1", Raw(b"{}"), ["a"]), m.Changed("c", "1", Raw(b"{}"), ["a"])),
]


@pytest.mark.parametrize(("ours", "first"), PAIRS)
def test_without_its_fields_a_message_has_version_1s_bytes(
    ours: m.ClientMessage | m.ServerMessage, first: m.ClientMessage | m.ServerMessage
) -> None:
    assert isinstance(ours, type(first))
    assert m.encode(ours) == m.encode(first)


def test_the_fields_of_a_method_are_read() -> None:
    text = (
        '{"msg":"method","id":"1","method":"a","params":[],'
        '"deadlineMs":0,"traceparent":"00-1-2-01","blobs":[0,4294967295],"x":1}'
    )
    assert tandem.decode_from_client(text) == tandem.Method(
        "1", "a", Raw(b"[]"), deadline_ms=0, traceparent="00-1-2-01", blobs=[0, 2**32 - 1]
    )


@pytest.mark.parametrize(
    "field",
    [
        '"blobs":5',
        '"blobs":["1"]',
        '"blobs":[1.5]',
        '"blobs":[-1]',
        '"blobs":[4294967296]',
        '"blobs":null',
        '"deadlineMs":-1',
        '"deadlineMs":1.5',
        '"deadlineMs":"5"',
        '"traceparent":5',
    ],
)
def test_ill_typed_fields_are_malformed_and_in_version_1_unknown(field: str) -> None:
    text = '{"msg":"method","id":"1","method":"a",' + field + "}"
    with pytest.raises(m.Unreadable):
        tandem.decode_from_client(text)
    assert m.decode_from_client(text) == m.Method("1", "a")


@pytest.mark.parametrize("field", ['"blobs":5', '"blobs":[-1]'])
@pytest.mark.parametrize(
    "start",
    [
        '{"msg":"result","id":"1",',
        '{"msg":"added","collection":"c","id":"1",',
        '{"msg":"changed","collection":"c","id":"1",',
    ],
)
def test_so_are_those_from_a_server(start: str, field: str) -> None:
    with pytest.raises(m.Unreadable):
        tandem.decode_from_server(start + field + "}")
    m.decode_from_server(start + field + "}")


def test_cancel_and_progress_are_not_in_version_1() -> None:
    cancel, progress = tandem.Cancel("1"), tandem.Progress("1", 1, None, "")
    assert tandem.decode_from_client(m.encode(cancel)) == cancel
    assert tandem.decode_from_server(m.encode(progress)) == progress
    with pytest.raises(m.Unreadable):
        m.decode_from_client(m.encode(cancel))
    with pytest.raises(m.Unreadable):
        m.decode_from_server(m.encode(progress))


def test_everything_else_is_as_in_version_1() -> None:
    for client in (m.Connect(version="1"), m.Ping("x"), m.Pong(), m.Unsub("1"), m.Disconnect()):
        assert tandem.decode_from_client(m.encode(client)) == client
    for server in (m.Connected("s"), m.NoSub("1"), m.Ready(["1"]), m.Updated(["1"]), m.Error("r")):
        assert tandem.decode_from_server(m.encode(server)) == server

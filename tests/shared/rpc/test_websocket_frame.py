"""Frames as a library reads them."""

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from shared.rpc.ddp.frames import Binary
from shared.rpc.websocket_frame import CLOSE, frame, message_frame


def _read(data: bytes, *, masked: bool) -> Frame:
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    parsing = Frame.parse(reader.read_exact, mask=masked)
    with pytest.raises(StopIteration) as end:
        next(parsing)
    found = end.value.value
    assert isinstance(found, Frame)
    with pytest.raises(StopIteration) as rest:
        next(reader.at_eof())
    assert rest.value.value is True
    return found


@pytest.mark.parametrize("mask", [b"", b"\x12\x34\x56\x78"])
@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536])
def test_messages_of_every_length(length: int, mask: bytes) -> None:
    payload = bytes(i % 251 for i in range(length))
    text = _read(message_frame(payload, mask), masked=bool(mask))
    assert (text.opcode, text.data, text.fin) == (Opcode.TEXT, payload, True)
    binary = _read(message_frame(Binary(payload), mask), masked=bool(mask))
    assert (binary.opcode, binary.data, binary.fin) == (Opcode.BINARY, payload, True)


def test_another_kind() -> None:
    assert _read(frame(CLOSE, b"\x03\xe8"), masked=False).opcode is Opcode.CLOSE

"""Binary messages: both ways, and nothing but these."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rpc.ddp.frames import (
    MAX_CHUNK_BYTES,
    Abort,
    Binary,
    Blob,
    Chunk,
    Credit,
    Frame,
    FrameError,
    Refuse,
    decode,
    encode,
)

U32 = st.integers(0, 2**32 - 1)
FRAMES = st.one_of(
    st.builds(Blob, U32, st.integers(0, 2**64 - 1)),
    st.builds(Chunk, U32, st.binary(min_size=1, max_size=300).map(memoryview)),
    st.builds(Credit, U32),
    st.builds(Abort, U32),
    st.builds(Refuse, U32),
)


@given(FRAMES)
def test_what_is_written_is_read(frame: Frame) -> None:
    message = encode(frame)
    assert decode(message.data) == frame
    assert len(message) == len(message.data)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    with contextlib.suppress(FrameError):
        assert encode(decode(data)) == Binary(data)


def test_a_chunk_has_bytes_up_to_the_most() -> None:
    most = encode(Chunk(1, memoryview(bytes(MAX_CHUNK_BYTES))))
    assert decode(most.data) == Chunk(1, memoryview(bytes(MAX_CHUNK_BYTES)))
    with pytest.raises(FrameError, match="a chunk of 65537 bytes"):
        decode(most.data + b"\0")
    with pytest.raises(FrameError, match="a chunk of 0 bytes"):
        decode(b"\x02\0\0\0\1")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "kind 0 has no binary message of 0 bytes"),
        (b"\x01\0\0\0\1", "kind 1 has no binary message of 5 bytes"),
        (b"\x02\0", "kind 2 has no binary message of 2 bytes"),
        (b"\x03\0\0\0\1\0", "kind 3 has no binary message of 6 bytes"),
        (b"\x09\0\0\0\1", "unknown kind 9 of binary message"),
    ],
)
def test_the_reason_says_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        decode(data)

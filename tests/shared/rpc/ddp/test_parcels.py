"""Texts with bytes beside them."""

import json

import pytest

from shared.rpc.ddp.frames import MAX_CHUNK_BYTES
from shared.rpc.ddp.parcels import Letter, written

TEXT = b'{"msg":"result","id":"1","result":{"$blob":0}}'


def test_the_ids_are_the_last_field_of_the_text() -> None:
    parcel = Letter(TEXT, [b"abc", b""]).numbered([7, 8])
    assert parcel.text == TEXT[:-1] + b',"blobs":[7,8]}'
    assert json.loads(parcel.text) == {**json.loads(TEXT), "blobs": [7, 8]}
    assert (parcel.ids, parcel.blobs) == ([7, 8], [b"abc", b""])


def test_without_bytes_a_text_is_only_a_text() -> None:
    assert written(TEXT, None) is TEXT
    assert written(TEXT, []) is TEXT
    assert isinstance(written(TEXT, [b""]), Letter)


@pytest.mark.parametrize(
    ("sizes", "may_wait", "in_turns"),
    [
        ([MAX_CHUNK_BYTES], True, False),
        ([MAX_CHUNK_BYTES, 1], True, True),
        ([MAX_CHUNK_BYTES, 1], False, False),
    ],
)
def test_only_more_than_a_chunk_goes_in_turns(
    sizes: list[int], may_wait: bool, in_turns: bool
) -> None:
    letter = Letter(TEXT, [bytes(size) for size in sizes], may_wait)
    parcel = letter.numbered(list(range(len(sizes))))
    assert parcel.in_turns is in_turns
    assert len(letter) == len(TEXT) + sum(sizes)
    assert len(parcel) == len(parcel.text) + (0 if in_turns else sum(sizes))

"""Document ids on the wire."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rpc.ddp.ids import DocumentIds
from shared.rpc.ejson import UNDEFINED, CustomType, Ejson
from shared.rpc.errors import EjsonError

HEX = "aabbccddeeff001122334455"


class NotAString:
    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NotAString) and self.text == other.text

    __hash__ = None  # type: ignore[assignment]


IDS = DocumentIds(Ejson([CustomType("oid", NotAString, lambda oid: oid.text, NotAString)]))


@pytest.mark.parametrize(
    ("document_id", "wire"),
    [
        (NotAString(HEX), HEX),
        (HEX, "-" + HEX),
        (HEX.upper(), HEX.upper()),
        ("plain", "plain"),
        ("", ""),
        ("-dash", "--dash"),
        ("~tilde", "-~tilde"),
        ("{brace", "-{brace"),
        (5, "~5"),
        (True, "~true"),
        (None, "~null"),
        ({"a": 1}, '~{"a":1}'),
        (UNDEFINED, "-"),
    ],
)
def test_both_ways(document_id: Any, wire: str) -> None:
    assert IDS.to_wire(document_id) == wire
    assert IDS.from_wire(wire) == document_id


@given(st.text() | st.integers(-(2**53), 2**53) | st.booleans() | st.none())
def test_round_trip(document_id: Any) -> None:
    assert IDS.from_wire(IDS.to_wire(document_id)) == document_id


def test_hex_without_an_object_id_type_is_a_string() -> None:
    assert DocumentIds(Ejson()).from_wire(HEX) == HEX


def test_refuses_what_is_no_id() -> None:
    with pytest.raises(EjsonError):
        IDS.to_wire(object())
    with pytest.raises(EjsonError):
        IDS.from_wire("~nope")

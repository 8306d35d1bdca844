"""Any JSON-like value can be stored and comes back as it was; nothing else can."""

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.models.errors import InvalidPayload, PayloadTooLarge
from shared.models.payloads import MAX_PAYLOAD_BYTES, decode_payload, encode_payload
from shared.models.pymongo_database import codec_options

MOMENTS = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis wants it naive
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
KEYS = st.text(st.sampled_from("$.%245Eab é"), max_size=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | MOMENTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


@given(VALUES)
def test_a_value_comes_back_from_the_database_as_it_was(value: Any) -> None:
    stored = bson.encode({"value": encode_payload(value, "value")})
    restored = decode_payload(bson.decode(stored, codec_options())["value"])

    assert restored == value
    assert _types(restored) == _types(value)


@given(VALUES)
def test_no_stored_key_means_anything_to_the_database(value: Any) -> None:
    for key in _keys(encode_payload(value, "value")):
        assert "." not in key
        assert "$" not in key


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {"b": 2**63}]}, r"params\.a\[1\]\.b is an integer that does not fit into 64"),
        ({"a": object()}, r"params\.a is a object"),
        ({"a": {1, 2}}, r"params\.a is a set"),
        ({"a": {5: 1}}, r"params\.a has a key that is not a string: 5"),
        ({"a\0": 1}, r"params has a key with a NUL"),
        ({"a": datetime(2026, 1, 1)}, r"params\.a is a datetime without a time zone"),  # noqa: DTZ001
        ({"a": "\ud800"}, r"params can't be stored"),
    ],
)
def test_what_cannot_be_stored_is_named(value: Any, message: str) -> None:
    with pytest.raises(InvalidPayload, match=message):
        encode_payload(value, "params")


def test_nesting_is_limited() -> None:
    value: Any = None
    for _ in range(100):
        value = [value]
    with pytest.raises(InvalidPayload, match="nested more than"):
        encode_payload(value, "params")


def test_size_is_limited() -> None:
    assert encode_payload(b"x" * (MAX_PAYLOAD_BYTES - 100), "params")
    with pytest.raises(PayloadTooLarge, match="put it into a file"):
        encode_payload(b"x" * MAX_PAYLOAD_BYTES, "params")


def _types(value: Any) -> Any:
    """The types of a value and all in it; ``==`` alone holds 1, 1.0 and True for the same."""
    match value:
        case dict():
            return {key: _types(member) for key, member in value.items()}
        case list():
            return [_types(member) for member in value]
        case _:
            return type(value)


def _keys(value: Any) -> list[str]:
    match value:
        case dict():
            return [*value, *(key for member in value.values() for key in _keys(member))]
        case list():
            return [key for member in value for key in _keys(member)]
        case _:
            return []

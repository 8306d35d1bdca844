"""EJSON: every wire form, both ways, and what is refused."""

import contextlib
import enum
import math
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rpc.ejson import (
    UNDEFINED,
    CustomType,
    Ejson,
    Regexp,
    clone,
    dumps_plain,
    equals,
)
from shared.rpc.errors import EjsonError


class Oid:
    """Stands in for an ObjectId."""

    def __init__(self, text: str) -> None:
        if len(text) != 24:
            raise ValueError("not 24 digits")
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Oid) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


OID = CustomType("oid", Oid, lambda oid: oid.text, Oid)
EJSON = Ejson([OID])
HEX = "aabbccddeeff001122334455"
MOMENT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)

PAIRS: list[tuple[Any, str]] = [
    (MOMENT, '{"$date":1700000000000}'),
    (datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC), '{"$date":-1}'),
    (b"\x01\x02\x03", '{"$binary":"AQID"}'),
    (b"\xfb\xff", '{"$binary":"+/8="}'),
    (b"", '{"$binary":""}'),
    (math.inf, '{"$InfNaN":1}'),
    (-math.inf, '{"$InfNaN":-1}'),
    (Regexp("a.b", "gi"), '{"$regexp":"a.b","$flags":"gi"}'),
    (Oid(HEX), '{"$type":"oid","$value":"' + HEX + '"}'),
    ({"a": [MOMENT]}, '{"a":[{"$date":1700000000000}]}'),
    # plain data that looks like a form
    ({"$date": 5}, '{"$escape":{"$date":5}}'),
    ({"$escape": 1}, '{"$escape":{"$escape":1}}'),
    ({"$type": "oid", "$value": 1}, '{"$escape":{"$type":"oid","$value":1}}'),
    ({"$date": MOMENT}, '{"$escape":{"$date":{"$date":1700000000000}}}'),
    # plain data that does not
    ({"$date": 5, "x": 1}, '{"$date":5,"x":1}'),
    ({"$foo": 1}, '{"$foo":1}'),
    ({"$type": "nope"}, '{"$type":"nope"}'),
    ({"$flags": "g", "$type": "x"}, '{"$flags":"g","$type":"x"}'),
    (None, "null"),
    ([None, True, 1, 1.5, "x", {}], '[null,true,1,1.5,"x",{}]'),
    ({"msg": "$date"}, '{"msg":"$date"}'),
]


@pytest.mark.parametrize(("value", "text"), PAIRS)
def test_writes_and_reads_each_form(value: Any, text: str) -> None:
    assert EJSON.dumps(value).decode() == text
    assert EJSON.loads(text) == value
    assert EJSON.loads(text.encode()) == value


def test_reads_nan() -> None:
    assert math.isnan(EJSON.loads('{"$InfNaN":0}'))
    assert EJSON.dumps(math.nan) == b'{"$InfNaN":0}'


def test_nan_next_to_null_is_not_lost() -> None:
    assert EJSON.dumps([None, math.nan]) == b'[null,{"$InfNaN":0}]'


def test_reads_a_form_whose_dollar_is_escaped_in_json() -> None:
    assert EJSON.loads('{"\\u0024date":0}') == datetime(1970, 1, 1, tzinfo=UTC)


def test_escape_holds_for_one_level_only() -> None:
    value = EJSON.loads('{"$escape":{"$date":{"$date":0}}}')
    assert value == {"$date": datetime(1970, 1, 1, tzinfo=UTC)}


def test_date_is_rounded_down_and_read_leniently() -> None:
    assert EJSON.loads('{"$date":1.5}') == EJSON.loads('{"$date":1}')
    late = MOMENT + timedelta(microseconds=999)
    assert EJSON.dumps(late) == b'{"$date":1700000000000}'
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5)))
    assert EJSON.dumps(elsewhere) == b'{"$date":1700000000000}'


def test_regexp_flags_are_cleaned() -> None:
    assert EJSON.loads('{"$regexp":"a","$flags":"ggxi"}') == Regexp("a", "gi")


@pytest.mark.parametrize(
    "text",
    [
        '{"$date":"x"}',
        '{"$date":true}',
        '{"$date":1e300}',
        '{"$binary":"?"}',
        '{"$binary":"AQI"}',
        '{"$binary":5}',
        '{"$InfNaN":2}',
        '{"$InfNaN":true}',
        '{"$escape":5}',
        '{"$type":"nope","$value":1}',
        '{"$type":5,"$value":1}',
        '{"$type":"oid","$value":"short"}',
        '{"$type":"oid","$value":5}',
        '{"$regexp":5,"$flags":""}',
        "{",
        "[" * 2000,
        '{"a":' * 600 + '{"$date":0}' + "}" * 600,
    ],
)
def test_refuses_nonsense(text: str) -> None:
    with pytest.raises(EjsonError):
        EJSON.loads(text)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        MOMENT.replace(tzinfo=None),
        date(2026, 1, 1),
        {1: 2},
        {1, 2},
        object(),
        "\ud800",
        2**70,
        deep(300),
        deep(5000),
    ],
)
def test_refuses_to_write(value: Any) -> None:
    with pytest.raises(EjsonError):
        EJSON.dumps(value)


class Colour(enum.Enum):
    RED = "red"


def test_writes_names_and_uuids_alike_on_both_ways() -> None:
    value = uuid.UUID(int=5)
    for extra in ([], [None]):
        texts = orjson.loads(EJSON.dumps([Colour.RED, value, *extra]))
        assert texts == ["red", str(value), *extra]


def test_undefined_fields_are_left_out() -> None:
    assert EJSON.dumps({"a": 1, "b": UNDEFINED}) == b'{"a":1}'


def test_plain_json_of_error_details() -> None:
    value = {"why": 42, "at": MOMENT, "nan": math.nan, "bytes": b"x", "list": (1, 2)}
    assert orjson.loads(dumps_plain(value)) == {
        "why": 42,
        "at": "2023-11-14T22:13:20.000Z",
        "nan": None,
        "bytes": {"0": 120},
        "list": [1, 2],
    }
    assert b"\\\\ud800" in dumps_plain("\ud800")


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        (True, 1, False),
        (False, 0, False),
        (1, 1.0, True),
        ({"a": 1, "b": [math.nan]}, {"b": [float("nan")], "a": 1}, True),
        ({"a": None}, {}, False),
        ([1, 2], (1, 2), True),
        ([1, 2], [1], False),
        (b"x", b"x", True),
        (MOMENT, MOMENT + timedelta(0), True),
        (None, 0, False),
        ("", 0, False),
    ],
)
def test_equality(a: Any, b: Any, same: bool) -> None:
    assert equals(a, b) is same
    assert equals(b, a) is same


def test_clone_shares_nothing_that_can_change() -> None:
    value = {"a": [1, {"b": bytearray(b"x")}]}
    copy = clone(value)
    value["a"][1]["b"][:] = b"y"  # type: ignore[index]
    value["a"].append(2)
    assert copy == {"a": [1, {"b": b"x"}]}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=True)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(max_size=20)
    | st.datetimes(timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    )
    | st.builds(Regexp, st.text("ab.*"), st.sampled_from(["", "g", "gi"]))
    | st.text("0123456789abcdef", min_size=24, max_size=24).map(Oid),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "a",
                    "$date",
                    "$binary",
                    "$InfNaN",
                    "$escape",
                    "$type",
                    "$value",
                    "$flags",
                    "$regexp",
                    "__proto__",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=20,
)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    assert equals(EJSON.loads(EJSON.dumps(value)), value)


@given(st.text() | st.binary())
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    with contextlib.suppress(EjsonError):
        EJSON.loads(text)


BLOB_PAIRS: list[tuple[Any, str, list[bytes]]] = [
    (b"abc", '{"$blob":0}', [b"abc"]),
    ([b"", {"x": b"abc"}], '[{"$blob":0},{"x":{"$blob":1}}]', [b"", b"abc"]),
    ([b"a", MOMENT], '[{"$blob":0},{"$date":1700000000000}]', [b"a"]),
    # plain data that looks like it
    ({"$blob": 0}, '{"$escape":{"$blob":0}}', []),
    ({"$blob": b"a"}, '{"$escape":{"$blob":{"$blob":0}}}', [b"a"]),
    ({"$blob": 0, "x": 1}, '{"$blob":0,"x":1}', []),
    ({"$date": b"a"}, '{"$escape":{"$date":{"$blob":0}}}', [b"a"]),
    ([1, None, "x"], '[1,null,"x"]', []),
]


@pytest.mark.parametrize(("value", "text", "blobs"), BLOB_PAIRS)
def test_bytes_travel_beside_the_text(value: Any, text: str, blobs: list[bytes]) -> None:
    found: list[bytes] = []
    assert EJSON.dumps(value, found).decode() == text
    assert found == blobs
    assert EJSON.loads(text, blobs) == value


def test_bytes_beside_the_text_are_not_copied_but_what_can_change_is() -> None:
    content, changing = bytes(100), bytearray(b"abc")
    blobs: list[bytes] = []
    EJSON.dumps([content, changing, memoryview(changing)], blobs)
    changing[0] = 0
    assert blobs[0] is content
    assert blobs[1:] == [b"abc", b"abc"]
    assert EJSON.loads('{"$blob":0}', blobs) is content


def test_without_blobs_nothing_is_different() -> None:
    assert EJSON.dumps({"$blob": 0}) == b'{"$blob":0}'
    assert EJSON.loads('{"$blob":0}') == {"$blob": 0}
    assert EJSON.loads('[{"$binary":"AQID"}]', []) == [b"\x01\x02\x03"]


@pytest.mark.parametrize(
    "index", ["1", "-1", "0.0", '"0"', "true", "null", "{}", "99999999999999999999"]
)
def test_a_blob_that_is_not_there_is_refused(index: str) -> None:
    with pytest.raises(EjsonError, match="blob"):
        EJSON.loads('{"$blob":' + index + "}", [b"abc"])


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(), st.binary()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.text(max_size=3), st.sampled_from(["$blob", "$escape", "$binary", "$date"])
            ),
            inner,
            max_size=2,
        ),
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_any_value_with_bytes_arrives(value: Any) -> None:
    blobs: list[bytes] = []
    text = EJSON.dumps(value, blobs)
    assert EJSON.loads(text, blobs) == value
    assert EJSON.loads(EJSON.dumps(value)) == value

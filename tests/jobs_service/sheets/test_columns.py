import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from jobs_service.sheets.columns import MAX_TEXT, Cell, Column, Kind, Total, titles_of

OID = ObjectId("0123456789abcdef01234567")
EAST = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        (Kind.TEXT, "=1+1", "=1+1"),
        (Kind.TEXT, "a\ud800b\ufffe\x01\r\nc\rd\te", "a\ufffdb\ufffd\ufffd\nc\nd\te"),
        (Kind.TEXT, 12, "12"),
        (Kind.TEXT, OID, "0123456789abcdef01234567"),
        (Kind.TEXT, {"ä": [1, OID]}, '{"ä": [1, "0123456789abcdef01234567"]}'),
        (Kind.TEXT, b"\x00\xff", "00ff"),
        (Kind.TEXT, True, "TRUE"),
        (Kind.TEXT, date(2025, 1, 2), "2025-01-02"),
        (Kind.INTEGER, 10**15 - 1, 10**15 - 1),
        (Kind.INTEGER, 10**15, "1000000000000000"),
        (Kind.INTEGER, -(2**63), "-9223372036854775808"),
        (Kind.INTEGER, Int64(5), 5),
        (Kind.INTEGER, 4.0, 4),
        (Kind.INTEGER, 4.5, 4.5),
        (Kind.INTEGER, False, "FALSE"),
        (Kind.INTEGER, "7", "7"),
        (Kind.DECIMAL, math.inf, None),
        (Kind.DECIMAL, -math.inf, None),
        (Kind.DECIMAL, math.nan, None),
        (Kind.DECIMAL, Decimal("NaN"), None),
        (Kind.DECIMAL, Decimal("12.50"), 12.5),
        (Kind.DECIMAL, Decimal128("0.1"), 0.1),
        (Kind.DECIMAL, Decimal("1.0000000000000001"), "1.0000000000000001"),
        (Kind.DECIMAL, 3, 3),
        (Kind.MONEY, 1999, 19.99),
        (Kind.MONEY, -5, -0.05),
        (Kind.MONEY, Int64(250), 2.5),
        (Kind.MONEY, 10**17 + 1, "1000000000000000.01"),
        (Kind.MONEY, 19.99, "19.99"),
        (Kind.DATE, date(1900, 1, 1), date(1900, 1, 1)),
        (Kind.DATE, date(1899, 12, 31), "1899-12-31"),
        (Kind.DATE, datetime(2025, 1, 1, 2, tzinfo=EAST), date(2024, 12, 31)),
        (
            Kind.DATETIME,
            datetime(2025, 1, 1, 2, tzinfo=EAST),
            datetime.fromisoformat("2024-12-31T20:30"),
        ),
        (Kind.DATETIME, datetime.fromisoformat("1700-05-06T07:08"), "1700-05-06 07:08:00"),
        (Kind.DATETIME, date(2025, 1, 1), date(2025, 1, 1)),
        (Kind.DATETIME, "soon", "soon"),
        (Kind.DATETIME, 5, "5"),
        (Kind.BOOLEAN, True, True),
        (Kind.BOOLEAN, 1, "1"),
    ],
)
def test_a_value_becomes_a_cell_of_the_declared_kind(kind: Kind, value: Any, cell: Cell) -> None:
    made = Column("Title", kind).cell(value)
    assert made == cell
    assert type(made) is type(cell)


@pytest.mark.parametrize("kind", Kind)
def test_nothing_is_an_empty_cell(kind: Kind) -> None:
    assert Column("Title", kind).cell(None) is None


@given(
    st.sampled_from(Kind),
    st.none()
    | st.text(st.characters())
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.binary()
    | st.decimals()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.lists(st.integers()),
)
def test_whatever_the_value_the_cell_is_safe(kind: Kind, value: Any) -> None:
    cell = Column("Title", kind).cell(value)
    match cell:
        case str():
            assert len(cell.encode("utf-16-le")) <= 2 * MAX_TEXT  # raises for a surrogate
            assert not any(c < " " and c not in "\t\n" for c in cell)
        case bool() | None:
            pass
        case int() | float():
            assert math.isfinite(cell)
            assert abs(cell) < 10**15 or isinstance(cell, float)
        case datetime():
            assert cell.tzinfo is None
            assert cell.year >= 1900
        case date():
            assert cell.year >= 1900


@pytest.mark.parametrize("text", ["x" * 40_000, "😀" * 40_000, "x" + "😀" * 40_000])
def test_long_text_is_cut_at_a_whole_character(text: str) -> None:
    cell = Column("Title", Kind.TEXT).cell(text)
    assert isinstance(cell, str)
    assert text.startswith(cell)
    assert MAX_TEXT - 1 <= len(cell.encode("utf-16-le")) // 2 <= MAX_TEXT


@given(st.lists(st.integers(-(10**9), 10**9)))
def test_a_total_of_money_is_exact(cents: list[int]) -> None:
    total = Total(Kind.MONEY)
    for value in cents:
        total.add(Column("Title", Kind.MONEY).cell(value))
    assert total.value == sum(cents) / 100


@given(st.lists(st.floats(-1e9, 1e9)))
def test_a_total_of_decimals_is_right_to_the_last_digits(values: list[float]) -> None:
    total = Total(Kind.DECIMAL)
    for value in values:
        total.add(value)
    exact = float(sum(map(Fraction, values)))
    assert total.value == pytest.approx(exact, rel=1e-14, abs=1e-20 * sum(map(abs, values)))


def test_a_total_counts_numbers_only() -> None:
    total = Total(Kind.INTEGER)
    cells: list[Cell] = [5, "1000", None, True, 7]
    for cell in cells:
        total.add(cell)
    assert total.value == 12


def test_columns_that_contradict_themselves() -> None:
    with pytest.raises(ValueError, match="'Name' of TEXT has no total"):
        Column("Name", Kind.TEXT, total=True)
    with pytest.raises(ValueError, match="must differ"):
        titles_of([Column("A", Kind.TEXT), Column("A", Kind.INTEGER)])
    with pytest.raises(ValueError, match="must differ"):
        titles_of([])

from itertools import pairwise

import pytest

from jobs_service.sheets.columns import Column, Kind
from jobs_service.sheets.sheet import SHEET_ROWS, Sheet, column_letters, split

NUMBERS = [Column("Number", Kind.INTEGER, total=True)]


def test_column_letters() -> None:
    assert [column_letters(i) for i in (0, 25, 26, 51, 52, 701, 702, 16383)] == [
        *("A", "Z", "AA", "AZ", "BA", "ZZ", "AAA", "XFD")
    ]


def test_a_sheet_that_fits_is_not_split() -> None:
    (part,) = split([Sheet("Orders", NUMBERS, [], SHEET_ROWS - 2)])
    assert (part.name, part.is_last) == ("Orders", True)


def test_a_larger_one_is_split_in_order() -> None:
    rows = iter([[n] for n in range(7)])
    parts = split([Sheet("Orders", NUMBERS, rows, 7)], sheet_rows=5)
    assert [part.name for part in parts] == ["Orders 1", "Orders 2", "Orders 3"]
    assert [list(part.rows()) for part in parts] == [[[0], [1], [2]], [[3], [4], [5]], [[6]]]
    assert [part.has_totals for part in parts] == [False, False, True]
    assert parts[2].totals[0].value == 21
    assert parts[2].total_formula(0) == "SUM('Orders 1'!A2:A4,'Orders 2'!A2:A4,A2:A2)"


def test_rows_beyond_what_was_said_are_an_error() -> None:
    (part,) = split([Sheet("Orders", NUMBERS, [[1], [2], [3]], 2)])
    with pytest.raises(ValueError, match="'Orders' has more rows than 2"):
        list(part.rows())


@pytest.mark.parametrize("row", [[], [1, 2]])
def test_a_row_of_another_length_is_an_error(row: list[int]) -> None:
    (part,) = split([Sheet("Orders", NUMBERS, [row])])
    with pytest.raises(ValueError, match="zip"):
        list(part.rows())


def test_names_are_made_valid_and_unique() -> None:
    wanted = ["Orders", "orders", "a/b:c[d]*?", "", "'quoted'", "x" * 40, "x" * 35]
    names = [part.name for part in split([Sheet(name, NUMBERS, []) for name in wanted])]
    assert names[:5] == ["Orders", "orders (2)", "a b c d", "Sheet", "quoted"]
    assert names[5:] == ["x" * 31, "x" * 27 + " (2)"]
    assert all(one.lower() != other.lower() for one, other in pairwise(sorted(names)))

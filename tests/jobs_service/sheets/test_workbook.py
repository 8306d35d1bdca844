import io
import math
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from jobs_service.sheets import cached_totals
from jobs_service.sheets.columns import Column, Kind
from jobs_service.sheets.sheet import Chart, Sheet
from jobs_service.sheets.workbook import write_workbook
from tests.jobs_service.sheets.workbooks import WRITERS, one_column, opened, written

COLUMNS = [
    Column("No", Kind.INTEGER, format="0"),
    Column("At", Kind.DATETIME, width=21),
    Column("Who", Kind.TEXT),
    Column("Pieces", Kind.INTEGER, total=True),
    Column("Amount & more", Kind.MONEY, total=True),
]
START = datetime.fromisoformat("2025-01-01T12:00")

both_writers = pytest.mark.parametrize("writer", WRITERS)


def rows(count: int) -> list[list[Any]]:
    return [
        [n, START + timedelta(minutes=n), f"=SUM({n})", n % 7, n * 333 + 1] for n in range(count)
    ]


def values(sheet: Any) -> list[list[Any]]:
    return [list(row) for row in sheet.iter_rows(values_only=True)]


@both_writers
def test_values_formats_and_layout(writer: str) -> None:
    data = written(writer, [Sheet("It's & co", COLUMNS, rows(10))])
    sheet = opened(data)["It's & co"]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:E11"
    assert sheet.column_dimensions["B"].width == pytest.approx(21, abs=1)
    header, first, *_, totals = sheet.iter_rows()
    assert [cell.value for cell in header] == ["No", "At", "Who", "Pieces", "Amount & more"]
    assert all(cell.font.b for cell in header)
    assert [cell.value for cell in first] == [0, START, "=SUM(0)", 0, 0.01]
    assert [cell.data_type for cell in first] == ["n", "d", "s", "n", "n"]
    formats = ["0", "yyyy-mm-dd hh:mm:ss", "@", "#,##0", "#,##0.00"]
    assert [cell.number_format for cell in first] == formats
    assert [cell.value for cell in totals] == ["Total", None, None, 24, 149.95]
    assert [cell.number_format for cell in totals[3:]] == ["#,##0", "#,##0.00"]
    assert all(cell.font.b for cell in totals if cell.value is not None)
    read = values(sheet)[1:-1]
    assert read == [[*row[:4], row[4] / 100] for row in rows(10)]


@both_writers
def test_totals_are_formulas_too(writer: str) -> None:
    book = opened(written(writer, [Sheet("A", COLUMNS, rows(10))]), formulas=True)
    assert values(book["A"])[-1] == ["Total", None, None, "=SUM(D2:D11)", "=SUM(E2:E11)"]


@both_writers
def test_more_rows_than_fit_continue_on_the_next_sheet(writer: str) -> None:
    data = written(writer, [Sheet("Bob's", COLUMNS, rows(25), 25)], sheet_rows=12)
    book = opened(data)
    assert book.sheetnames == ["Bob's 1", "Bob's 2", "Bob's 3"]
    tables = [values(sheet) for sheet in book]
    assert [len(table) for table in tables] == [11, 11, 7]
    assert all(table[0][0] == "No" for table in tables)
    numbers = [row[0] for table in tables for row in table[1:]]
    assert numbers == [*range(25), "Total"]
    pieces, cents = sum(n % 7 for n in range(25)), sum(n * 333 + 1 for n in range(25))
    assert tables[-1][-1] == ["Total", None, None, pieces, cents / 100]
    formula = values(opened(data, formulas=True)["Bob's 3"])[-1][3]
    assert formula == "=SUM('Bob''s 1'!D2:D11,'Bob''s 2'!D2:D11,D2:D6)"


@both_writers
def test_no_rows_still_give_a_header(writer: str) -> None:
    sheet = opened(written(writer, [Sheet("Empty", COLUMNS, [])]))["Empty"]
    table = values(sheet)
    assert table[0] == [column.title for column in COLUMNS]
    assert table[-1] == ["Total", None, None, 0, 0]
    plain = opened(written(writer, [Sheet("Empty", [Column("A", Kind.TEXT)], [])]))["Empty"]
    assert plain["A1"].value == "A"


@both_writers
def test_text_is_never_a_formula_a_link_or_a_number(writer: str) -> None:
    texts = ["=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "http://a.b", "007", "1e5", "TRUE"]
    column = Column("Text", Kind.TEXT)
    data = written(writer, [Sheet("A", [column], [[t] for t in texts])])
    sheet = opened(data, formulas=True)["A"]
    cells = [row[0] for row in sheet.iter_rows(min_row=2)]
    assert [cell.value for cell in cells] == texts
    assert {cell.data_type for cell in cells} == {"s"}
    assert not any(cell.hyperlink for cell in cells)


@both_writers
def test_each_trap_of_the_writers_is_removed(writer: str) -> None:
    def read(kind: Kind, *given: Any) -> list[Any]:
        return one_column(writer, Column("Title", kind), given)

    big = 2**53 + 1
    assert read(Kind.INTEGER, 1, big, 3) == [1, str(big), 3]
    assert read(Kind.INTEGER, 1, START, 3) == [1, "2025-01-01 12:00:00", 3]
    assert read(Kind.DECIMAL, 1.5, math.inf, math.nan, 2) == [1.5, None, None, 2]
    assert read(Kind.DATETIME, None, START, "later", 12) == [None, START, "later", "12"]
    early = date(1899, 12, 31)
    assert read(Kind.DATE, date(2025, 2, 3), early) == [
        datetime.fromisoformat("2025-02-03"),
        "1899-12-31",
    ]
    assert read(Kind.TEXT, "a\ud800b", "x" * 99_999, {"a": 1})[0] == "a\ufffdb"
    assert len(read(Kind.TEXT, "😀" * 99_999)[0].encode("utf-16-le")) <= 2 * 32_767
    assert read(Kind.BOOLEAN, None, True, "?", False) == [None, True, "?", False]


@both_writers
def test_a_chart(writer: str) -> None:
    chart = Chart("column", "Amounts", "No", ["Amount & more"])
    data = written(writer, [Sheet("A", COLUMNS, rows(3), chart=chart)])
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        xml = book.read("xl/charts/chart1.xml").decode()
    assert "Amounts" in xml
    assert "$E$2:$E$4" in xml
    assert "$A$2:$A$4" in xml


def test_the_writer_is_chosen_by_what_is_asked_for() -> None:
    plain, table = io.BytesIO(), io.BytesIO()
    write_workbook([Sheet("A", COLUMNS, rows(3))], plain)
    write_workbook([Sheet("A", COLUMNS, rows(3), as_table=True)], table)
    assert opened(plain.getvalue())["A"].tables == {}
    (made,) = opened(table.getvalue())["A"].tables.values()
    assert made.ref == "A1:E4"
    assert values(opened(plain.getvalue())["A"]) == values(opened(table.getvalue())["A"])


@both_writers
def test_what_the_rows_raise_comes_through(writer: str) -> None:
    def broken() -> Iterator[list[Any]]:
        yield from rows(3)
        raise ConnectionError("the database went away")

    with pytest.raises(ConnectionError, match="went away"):
        written(writer, [Sheet("A", COLUMNS, broken())])


def test_another_layout_of_the_draft_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_totals, "_TOTAL", re.compile(rb"never"))
    with pytest.raises(cached_totals.UnexpectedLayoutError, match="0 formulas for 2 totals"):
        written("rustpy", [Sheet("A", COLUMNS, rows(3))])


def test_totals_are_found_wherever_the_chunks_end(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = opened(written("rustpy", [Sheet("A", COLUMNS, rows(200))]))["A"]
    for chunk in (2_000, 2_011, 2_500, 3_001):
        monkeypatch.setattr(cached_totals, "_CHUNK", chunk)
        assert values(opened(written("rustpy", [Sheet("A", COLUMNS, rows(200))]))["A"]) == values(
            usual
        )

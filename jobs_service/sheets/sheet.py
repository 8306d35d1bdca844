"""Sheets of typed columns, and how they are split where Excel's limit asks for it."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Literal

from jobs_service.sheets.columns import Cell, Column, Total, titles_of

SHEET_ROWS: Final = 1_048_576
"""Rows of a sheet in Excel, its header and totals among them."""

_NAME_LENGTH: Final = 31
_NOT_IN_NAMES: Final = re.compile(r"[\[\]:*?/\\\x00-\x1f]")


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart beside the table; columns are named by their titles."""

    kind: Literal["column", "line", "bar"]
    title: str
    categories: str
    series: Sequence[str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: typed columns and rows of as many values, read once and lazily."""

    name: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[Any]]
    max_rows: int = SHEET_ROWS - 2
    """More rows than this won't come; it decides over how many sheets they are split."""
    total_label: str = "Total"
    chart: Chart | None = None
    as_table: bool = False
    """A real Excel table, with its filters; only XlsxWriter has these, slower and in memory."""


@dataclass(slots=True)
class Part:
    """The sheet of the file that holds a sheet, or one of those that it is split over."""

    name: str
    sheet: Sheet
    titles: list[str]
    limit: int
    is_last: bool
    siblings: list["Part"]
    """All parts of the sheet, in order, this one too."""
    source: Iterator[Sequence[Any]]
    totals: dict[int, Total]
    """By the number of the column; shared by all parts, and right once all are written."""
    count: int = field(default=0)
    """Rows read so far."""

    def rows(self) -> Iterator[list[Cell]]:
        """The cells of this part's rows.

        Raises:
            ValueError: a row is not as long as the columns, or there are more rows than
                the sheet said.
        """
        makers = [column.cell for column in self.sheet.columns]
        totals = list(self.totals.items())
        for row in islice(self.source, self.limit):
            cells = [make(value) for make, value in zip(makers, row, strict=True)]
            for index, total in totals:
                total.add(cells[index])
            self.count += 1
            yield cells
        if self.is_last and next(self.source, None) is not None:
            raise ValueError(f"sheet {self.sheet.name!r} has more rows than {self.sheet.max_rows}")

    @property
    def has_totals(self) -> bool:
        """Whether the totals row is on this part."""
        return self.is_last and bool(self.totals)

    def total_formula(self, index: int) -> str:
        """What sums up column ``index`` over all parts; to be asked when all are written."""
        letters = column_letters(index)
        areas = []
        for part in self.siblings:
            prefix = "" if part is self else "'{}'!".format(part.name.replace("'", "''"))
            areas.append(f"{prefix}{letters}2:{letters}{max(part.count, 1) + 1}")
        return f"SUM({','.join(areas)})"


def split(sheets: Sequence[Sheet], sheet_rows: int = SHEET_ROWS) -> list[Part]:
    """The sheets of the file, each with a valid name that no other has."""
    capacity = sheet_rows - 2  # the header and, on the last one, the totals
    taken: set[str] = set()
    parts = []
    for sheet in sheets:
        titles = titles_of(sheet.columns)
        totals = {i: Total(c.kind) for i, c in enumerate(sheet.columns) if c.total}
        source = iter(sheet.rows)
        amount = max(1, math.ceil(sheet.max_rows / capacity))
        siblings: list[Part] = []
        for number in range(1, amount + 1):
            name = _name(sheet.name, f" {number}" if amount > 1 else "", taken)
            limit = min(capacity, sheet.max_rows - (number - 1) * capacity)
            is_last = number == amount
            siblings.append(Part(name, sheet, titles, limit, is_last, siblings, source, totals))
        parts += siblings
    return parts


def column_letters(index: int) -> str:
    """0 → A, 25 → Z, 26 → AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _name(wanted: str, suffix: str, taken: set[str]) -> str:
    """A name that Excel takes: 1 to 31 characters, some forbidden, unique but for case."""
    base = _NOT_IN_NAMES.sub(" ", wanted).strip("' ") or "Sheet"
    name, copies = base[: _NAME_LENGTH - len(suffix)] + suffix, 1
    while name.lower() in taken:
        copies += 1
        more = f"{suffix} ({copies})"
        name = base[: _NAME_LENGTH - len(more)] + more
    taken.add(name.lower())
    return name

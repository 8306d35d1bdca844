"""The typed column model: what a column holds decides its cells, whatever the data says.

A writer is only ever given cells that Excel and both writers take as they are. So each trap
of Excel's format is removed here, once, by the declared kind of the column:

- integers and decimals of more than 15 digits become text (Excel would round them);
- dates before 1900 become text, infinities and NaN become empty cells;
- dates with an offset become UTC, for a cell has no offset;
- text is cut at 32,767 characters; lone surrogates and what XML forbids become U+FFFD;
- what isn't of the column's kind becomes text; text never becomes a formula, link or number.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

Cell = str | int | float | bool | date | datetime | None

MAX_TEXT: Final = 32_767
"""Characters in a cell, counted as Excel does: in UTF-16 units."""
_MAX_INTEGER: Final = 10**15 - 1
"""Excel shows and keeps 15 digits."""
_FIRST_YEAR: Final = 1900
_ALWAYS_FITS: Final = MAX_TEXT // 2
_FORBIDDEN: Final = dict.fromkeys(
    {*range(32), 0xFFFE, 0xFFFF} - {ord("\t"), ord("\n")},  # XML 1.0, section 2.2
    "\ufffd",
)


class Kind(Enum):
    """What a column holds; the value is its number format, where none is declared."""

    TEXT = "@"
    INTEGER = "#,##0"
    DECIMAL = "#,##0.00##"
    MONEY = "#,##0.00"
    """Whole cents (or what else is a hundredth of the unit), so that sums are exact."""
    DATE = "yyyy-mm-dd"
    DATETIME = "yyyy-mm-dd hh:mm:ss"
    BOOLEAN = "General"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a sheet."""

    title: str
    kind: Kind
    format: str | None = None
    """An Excel number format; the kind's own when not given."""
    width: float = 14
    """In characters."""
    total: bool = False
    """Whether the totals row sums it up: only of integers, decimals and money."""

    def __post_init__(self) -> None:
        if self.total and self.kind not in {Kind.INTEGER, Kind.DECIMAL, Kind.MONEY}:
            raise ValueError(f"column {self.title!r} of {self.kind.name} has no total")

    @property
    def number_format(self) -> str:
        """The Excel number format of its cells."""
        return self.format if self.format is not None else self.kind.value

    @property
    def cell(self) -> Callable[[Any], Cell]:
        """The function that makes a cell of a value."""
        return _CELLS[self.kind]


class Total:
    """The sum of a column's numbers, as Excel's SUM sees them: text doesn't count.

    Neumaier's compensation keeps it right to the last digit, however many there are; money
    is then rounded to the cent, which makes it exact.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._sum: float = 0
        self._lost: float = 0.0

    def add(self, cell: Cell) -> None:
        """Count ``cell`` in, if it is a number."""
        if type(cell) is not int and type(cell) is not float:
            return
        total = self._sum + cell
        if type(total) is float:
            larger, smaller = (
                (self._sum, cell) if abs(self._sum) >= abs(cell) else (cell, self._sum)
            )
            self._lost += (larger - total) + smaller
        self._sum = total

    @property
    def value(self) -> float:
        """The sum so far."""
        if self._kind is Kind.MONEY:
            return round(self._sum + self._lost, 2)
        return self._sum + self._lost if self._lost else self._sum


def text(value: Any) -> str | None:
    """A cell of text; structures become JSON, bytes hex digits."""
    if value is None:
        return None
    if type(value) is not str:
        value = _as_text(value)
    if not (value.isascii() and value.isprintable()):
        value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        value = value.replace("\r\n", "\n").replace("\r", "\n").translate(_FORBIDDEN)
    if len(value) > _ALWAYS_FITS:
        units = value.encode("utf-16-le")[: 2 * MAX_TEXT]
        value = units.decode("utf-16-le", "ignore")  # half of a pair is dropped
    return value  # type: ignore[no-any-return]


def integer(value: Any) -> Cell:
    """A whole number."""
    if type(value) is int:
        return value if -_MAX_INTEGER <= value <= _MAX_INTEGER else str(value)
    if value is None or isinstance(value, bool):
        return text(value)
    if isinstance(value, int):  # bson's Int64 is one
        return integer(int(value))
    if isinstance(value, float) and value.is_integer():
        return integer(int(value))
    return decimal(value)


def decimal(value: Any) -> Cell:
    """A number; Decimal and MongoDB's Decimal128 too, as text where a float would round them."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool):
        return text(value)
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return decimal(float(value))
    if hasattr(value, "to_decimal"):
        value = value.to_decimal()
    if isinstance(value, Decimal):
        if not value.is_finite():
            return None
        fits = len(value.normalize().as_tuple().digits) <= 15
        return float(value) if fits else str(value)
    return text(value)


def money(value: Any) -> Cell:
    """Whole cents as units; what isn't a whole number becomes text, never a wrong amount."""
    if type(value) is int and -_MAX_INTEGER <= value <= _MAX_INTEGER:
        return value / 100
    if isinstance(value, int) and not isinstance(value, bool):
        return money(int(value)) if abs(value) <= _MAX_INTEGER else str(Decimal(value) / 100)
    return text(value)


def day(value: Any) -> Cell:
    """A date; of a point in time, its day in UTC."""
    if isinstance(value, datetime):
        value = _utc(value).date()
    if isinstance(value, date) and value.year >= _FIRST_YEAR:
        return value
    return text(value)


def moment(value: Any) -> Cell:
    """A date and time, in UTC."""
    if isinstance(value, datetime):
        value = _utc(value)
        return value if value.year >= _FIRST_YEAR else text(value)
    return day(value)


def boolean(value: Any) -> Cell:
    """TRUE or FALSE."""
    return value if isinstance(value, bool) else text(value)


def titles_of(columns: Iterable[Column]) -> list[str]:
    """The titles, as cells.

    Raises:
        ValueError: there is none, or two are the same, which a table can't have.
    """
    titles = [text(column.title) or "" for column in columns]
    if not titles or len(set(titles)) != len(titles):
        raise ValueError(f"column titles must differ: {titles}")
    return titles


def _utc(value: datetime) -> datetime:
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _as_text(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes | bytearray | memoryview):
        return value.hex()
    if isinstance(value, date):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value)


_CELLS: Final[dict[Kind, Callable[[Any], Cell]]] = {
    Kind.TEXT: text,
    Kind.INTEGER: integer,
    Kind.DECIMAL: decimal,
    Kind.MONEY: money,
    Kind.DATE: day,
    Kind.DATETIME: moment,
    Kind.BOOLEAN: boolean,
}

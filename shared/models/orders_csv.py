"""Reads orders from CSV text, and says exactly where it is wrong.

The first line names the columns, in any order: number, orderedAt, customer, country,
product, quantity, unitPrice. Dates are ISO 8601 (``2026-03-01`` or
``2026-03-01T14:30:00Z``; UTC when no zone is given), prices have at most two decimals.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from bson import ObjectId

from shared.models.errors import InvalidOrders
from shared.models.orders import Order
from shared.models.types import to_milliseconds

COLUMNS = ("number", "orderedAt", "customer", "country", "product", "quantity", "unitPrice")


class Row(NamedTuple):
    """An order and the line it ends on."""

    line: int
    order: Order


def parse_orders(lines: Iterable[str], import_id: ObjectId | None = None) -> Iterator[Row]:
    """The orders of a CSV text, one by one; ``lines`` keep their line ends.

    Raises:
        InvalidOrders: with line, column and problem, at the first thing that is wrong.
    """
    reader = csv.reader(lines, strict=True)
    rows = _rows(reader)
    header = [name.strip() for name in next(rows, [])]
    _check_header(header)
    for row in rows:
        if row:
            yield Row(reader.line_num, _order(row, header, reader.line_num, import_id))


def _rows(reader: Any) -> Iterator[list[str]]:
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidOrders(reader.line_num, "", f"not CSV: {error}") from error
        except UnicodeDecodeError as error:
            raise InvalidOrders(reader.line_num + 1, "", "not UTF-8 text") from error


def _check_header(header: list[str]) -> None:
    if not header:
        raise InvalidOrders(1, "", f"there is no header line: {','.join(COLUMNS)}")
    for name in COLUMNS:
        if header.count(name) != 1:
            problem = "is missing" if name not in header else "is there more than once"
            raise InvalidOrders(1, name, f"this column {problem}")
    if unknown := [name for name in header if name not in COLUMNS]:
        raise InvalidOrders(1, unknown[0], "there is no such column")


def _order(row: list[str], header: list[str], line: int, import_id: ObjectId | None) -> Order:
    if len(row) != len(header):
        raise InvalidOrders(line, "", f"{len(row)} values instead of {len(header)}")
    texts = dict(zip(header, row, strict=True))
    fields: dict[str, Any] = {"id": ObjectId(), "import_id": import_id}
    for column, (name, parse) in _PARSERS.items():
        try:
            fields[name] = parse(texts[column].strip())
        except (ValueError, InvalidOperation, OverflowError) as error:
            raise InvalidOrders(line, column, f"{texts[column][:50]!r} {error}") from error
    fields["total_cents"] = fields["quantity"] * fields["unit_price_cents"]
    return Order(**fields)


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise ValueError("is not a whole number")
        if not least <= int(text) <= most:
            raise ValueError(f"is not between {least} and {most}")
        return int(text)

    return parse


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("is not an ISO 8601 date such as 2026-03-01T14:30:00Z") from error
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return to_milliseconds(aware)


def _text(text: str) -> str:
    if not 1 <= len(text) <= _MAX_TEXT:
        raise ValueError(f"must have between 1 and {_MAX_TEXT} characters")
    return text


def _cents(text: str) -> int:
    try:
        price = Decimal(text) * 100
    except InvalidOperation as error:
        raise ValueError("is not a price such as 12.50") from error
    if not price.is_finite() or price != price.to_integral_value():
        raise ValueError("is not a price with at most two decimals")
    if abs(price) > _MAX_CENTS:
        raise ValueError("is too large")
    return int(price)


_MAX_TEXT = 200
_MAX_CENTS = 10**12

_PARSERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "number": ("number", _whole_number(1, 2**53 - 1)),
    "orderedAt": ("ordered_at", _moment),
    "customer": ("customer", _text),
    "country": ("country", _text),
    "product": ("product", _text),
    "quantity": ("quantity", _whole_number(1, 1_000_000)),
    "unitPrice": ("unit_price_cents", _cents),
}

"""CSV text becomes orders, or an error that says where it is wrong."""

from datetime import UTC, datetime

import pytest
from bson import ObjectId

from shared.models.errors import InvalidOrders
from shared.models.orders_csv import COLUMNS, parse_orders

HEADER = ",".join(COLUMNS)
GOOD = "1,2026-03-01,Ada,France,Desk lamp,2,12.50"


def test_a_line_is_an_order() -> None:
    import_id = ObjectId()

    (row,) = parse_orders([HEADER + "\r\n", GOOD + "\r\n", "\r\n"], import_id)

    order = row.order
    assert row.line == 2
    assert (order.number, order.ordered_at) == (1, datetime(2026, 3, 1, tzinfo=UTC))
    assert (order.customer, order.country, order.product) == ("Ada", "France", "Desk lamp")
    assert (order.quantity, order.unit_price_cents, order.total_cents) == (2, 1250, 2500)
    assert order.import_id == import_id


def test_columns_may_come_in_any_order_and_texts_may_be_quoted() -> None:
    lines = [
        "unitPrice, quantity,product,country,customer,orderedAt,number\n",
        '3,1,"Lamp, ""big""\n',
        'and round",France,"=Ada",2026-03-01T14:30:00.123456+02:00,7\n',
        "0.1,3,Pen,Spain,Bo,2026-03-01T00:00:00Z,8\n",
    ]

    first, second = parse_orders(lines)

    assert (first.line, second.line) == (3, 4)
    assert first.order.product == 'Lamp, "big"\nand round'
    assert first.order.customer == "=Ada"
    assert first.order.ordered_at == datetime(2026, 3, 1, 12, 30, 0, 123_000, UTC)
    assert second.order.total_cents == 30


@pytest.mark.parametrize(
    ("number", "value", "problem"),
    [
        (0, "", "is not a whole number"),
        (0, "1.5", "is not a whole number"),
        (0, "٣", "is not a whole number"),
        (0, "0", "is not between 1 and 9007199254740991"),
        (0, "9" * 30, "is not a whole number"),
        (1, "01.03.2026", "is not an ISO 8601 date such as 2026-03-01T14:30:00Z"),
        (1, "2026-02-30", "is not an ISO 8601 date"),
        (1, "0001-01-01T00:00:00+14:00", ""),
        (2, " ", "must have between 1 and 200 characters"),
        (4, "x" * 201, "must have between 1 and 200 characters"),
        (5, "-1", "is not a whole number"),
        (5, "1000001", "is not between 1 and 1000000"),
        (6, "12,50", "is not a price such as 12.50"),
        (6, "12.505", "is not a price with at most two decimals"),
        (6, "NaN", "is not a price"),
        (6, "1e99", "is too large"),
    ],
)
def test_a_wrong_value_is_named(number: int, value: str, problem: str) -> None:
    values = GOOD.split(",")
    values[number] = f'"{value}"'

    with pytest.raises(InvalidOrders) as caught:
        list(parse_orders([HEADER + "\n", GOOD + "\n", ",".join(values) + "\n"]))

    assert (caught.value.line, caught.value.column) == (3, COLUMNS[number])
    assert problem in caught.value.problem
    assert str(caught.value).startswith(f"line 3, column {COLUMNS[number]}: ")


@pytest.mark.parametrize(
    ("lines", "line", "column", "problem"),
    [
        ([], 1, "", "there is no header line"),
        (["number,orderedAt\n"], 1, "customer", "is missing"),
        ([HEADER + ",number\n"], 1, "number", "more than once"),
        ([HEADER + ",colour\n"], 1, "colour", "there is no such column"),
        ([HEADER + "\n", GOOD + ",x\n"], 2, "", "8 values instead of 7"),
        ([HEADER + "\n", "PK\x03\x04\n"], 2, "", "1 values instead of 7"),
        ([HEADER + "\n", GOOD + '"a"b\n'], 2, "", ""),
        ([HEADER + "\n", '1,"never closed\n'], 2, "", "not CSV"),
        ([HEADER + "\n", "x" * 200_000], 2, "", "not CSV"),
    ],
)
def test_a_wrong_line_is_named(lines: list[str], line: int, column: str, problem: str) -> None:
    with pytest.raises(InvalidOrders) as caught:
        list(parse_orders(lines))

    assert caught.value.line == line
    assert problem in caught.value.problem
    assert column in ("", caught.value.column)

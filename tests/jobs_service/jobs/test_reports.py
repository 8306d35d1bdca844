import io
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pymongo import MongoClient
from pymongo.database import Database

from jobs_service.job import Discard, Progress
from jobs_service.jobs import reports
from shared.contracts.reports import OrdersReport, ReportFile
from tests.jobs_service.jobs.runs import FIRST_OUTPUT, contents, running
from tests.jobs_service.sheets.workbooks import by_libreoffice

COUNT = 1_500
FIRST = datetime(2024, 11, 3, tzinfo=UTC)


@pytest.fixture
def database(mongo_url: str, database_name: str) -> Iterator[Database[Any]]:
    client: MongoClient[Any]
    with MongoClient(mongo_url) as client:
        yield client[database_name]


@pytest.fixture
def url(mongo_url: str, database_name: str) -> Iterator[str]:
    """The URL with the database in its path, as children get it."""
    server, _, options = mongo_url.partition("?")
    url = f"{server.rstrip('/')}/{database_name}" + (f"?{options}" if options else "")
    yield url
    reports._database(url).client.close()  # this process is no child: it goes on
    reports._database.cache_clear()


@pytest.fixture
def filled(database: Database[Any]) -> Database[Any]:
    chance = random.Random(7)
    orders = []
    for number in range(COUNT):
        quantity, price = chance.randrange(1, 40), chance.randrange(1, 90_000)
        orders.append(
            {
                "number": 100_000 + number,
                "orderedAt": FIRST + timedelta(minutes=97 * number),
                "customer": chance.choice(["=Ærø & Søn", "O'Neill", "株式会社", "+1 Ltd"]),
                "country": chance.choice(["Denmark", "Ireland"]),
                "product": f"Product {chance.randrange(30)}",
                "quantity": quantity,
                "unitPriceCents": price,
                "totalCents": quantity * price,
            }
        )
    chance.shuffle(orders)
    database["orders"].insert_many(orders)
    database["orders"].create_index("orderedAt")
    return database


def report(url: str, **period: date) -> tuple[ReportFile, bytes, list[Progress]]:
    with running(database_url=url) as (run, progress):
        result = reports.orders.function(OrdersReport(**period), run)
        (file,) = contents(run)
        return result, file, progress


def sums(database: Database[Any], match: dict[str, Any], by: Any = None) -> list[dict[str, Any]]:
    """What MongoDB itself adds up."""
    group = {
        "_id": by,
        "orders": {"$sum": 1},
        "quantity": {"$sum": "$quantity"},
        "cents": {"$sum": "$totalCents"},
    }
    stages = [{"$match": match}, {"$group": group}, {"$sort": {"_id": 1}}]
    return list(database["orders"].aggregate(stages))


def table(file: bytes, name: str) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(io.BytesIO(file), data_only=True)
    return list(book[name].iter_rows(values_only=True))


def test_all_orders(filled: Database[Any], url: str) -> None:
    result, file, _progress = report(url)
    assert result == ReportFile(
        id=FIRST_OUTPUT,
        filename="orders.xlsx",
        content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        size=len(file),
        rows=COUNT,
    )
    header, *rows, totals = table(file, "Orders")
    assert header[:3] == ("Order", "Ordered at (UTC)", "Customer")
    expected = [
        (
            *(order["number"], order["orderedAt"], order["customer"], order["country"]),
            *(order["product"], order["quantity"]),
            *(order["unitPriceCents"] / 100, order["totalCents"] / 100),
        )
        for order in filled["orders"].find(sort=[("orderedAt", 1)])
    ]
    assert rows == expected
    (total,) = sums(filled, {})
    assert totals == ("Total", *[None] * 4, total["quantity"], None, total["cents"] / 100)


def test_the_months(filled: Database[Any], url: str) -> None:
    _result, file, _progress = report(url)
    header, *rows, totals = table(file, "By month")
    assert header == ("Month", "Orders", "Quantity", "Total")
    months = sums(filled, {}, {"$dateTrunc": {"date": "$orderedAt", "unit": "month"}})
    assert len(months) >= 4
    assert rows == [(m["_id"], m["orders"], m["quantity"], m["cents"] / 100) for m in months]
    (total,) = sums(filled, {})
    assert totals == ("Total", COUNT, total["quantity"], total["cents"] / 100)


@pytest.mark.parametrize(
    ("period", "filename"),
    [
        (
            {"start": date(2024, 12, 1), "end": date(2024, 12, 31)},
            "orders-from-2024-12-01-to-2024-12-31.xlsx",
        ),
        ({"start": date(2024, 12, 24)}, "orders-from-2024-12-24.xlsx"),
        ({"end": date(2024, 11, 3)}, "orders-to-2024-11-03.xlsx"),
        ({"end": date.max}, "orders-to-9999-12-31.xlsx"),
    ],
)
def test_a_period_includes_its_last_day(
    filled: Database[Any], url: str, period: dict[str, date], filename: str
) -> None:
    edges = [
        datetime(2024, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        datetime(2025, 1, 1, tzinfo=UTC),
        datetime(2024, 12, 1, tzinfo=UTC),
    ]
    model = filled["orders"].find_one({}, {"_id": False}) or {}
    filled["orders"].insert_many(
        [{**model, "number": n, "orderedAt": edge} for n, edge in enumerate(edges)]
    )
    result, file, _progress = report(url, **period)
    start, end = period.get("start", date.min), period.get("end", date.max)
    inside = sorted(
        order["number"]
        for order in filled["orders"].find()
        if start <= order["orderedAt"].date() <= end
    )
    assert result.rows == len(inside) > 0
    assert result.filename == filename
    assert sorted(row[0] for row in table(file, "Orders")[1:-1]) == inside


def test_no_orders_at_all(url: str) -> None:
    result, file, progress = report(url, start=date(1990, 1, 1))
    assert result.rows == 0
    rows = table(file, "Orders")
    assert rows[0][0] == "Order"
    assert rows[-1] == ("Total", *[None] * 4, 0, None, 0)
    assert progress[-1] == Progress(0, 0, "0 of 0 rows")


def test_progress_counts_rows(filled: Database[Any], url: str) -> None:
    _result, _file, progress = report(url)
    assert progress[0] == Progress(500, 1500, "500 of 1,500 rows")
    assert progress[-1] == Progress(1500, 1500, "1,500 of 1,500 rows")


def test_orders_that_come_in_meanwhile_wait_for_the_next_report(
    filled: Database[Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    period = reports._period
    counted: list[int] = []

    def and_then_an_order_comes_in(*args: Any) -> Iterator[list[Any]]:
        counted.append(args[2])
        model = filled["orders"].find_one({}, {"_id": False}) or {}
        filled["orders"].insert_one({**model, "number": 1, "orderedAt": datetime.now(UTC)})
        return rows(*args)

    rows = reports._rows
    monkeypatch.setattr(reports, "_rows", and_then_an_order_comes_in)
    result, _file, _progress = report(url)
    assert result.rows == counted[0] == COUNT
    assert filled["orders"].count_documents(period(OrdersReport())) == COUNT + 1


def test_a_period_that_ends_before_it_starts(url: str) -> None:
    with running(database_url=url) as (run, _progress):
        params = OrdersReport(start=date(2025, 3, 1), end=date(2025, 2, 28))
        with pytest.raises(Discard) as caught:
            reports.orders.function(params, run)
        assert run.outputs == []
    assert caught.value.code == "bad-period"
    assert "ends (2025-02-28) before it starts (2025-03-01)" in caught.value.reason


def test_the_client_is_kept_for_the_childs_life(filled: Database[Any], url: str) -> None:
    report(url)
    opened = reports._database(url)
    report(url)
    assert reports._database(url) is opened


def test_libreoffice_shows_the_same(filled: Database[Any], url: str, tmp_path: Path) -> None:
    result, file, _progress = report(url)
    shown = by_libreoffice(tmp_path, report=file)
    _header, *rows, totals = shown["report"]["Orders"]
    orders = list(filled["orders"].find(sort=[("orderedAt", 1)]))
    assert [(int(row[0]), row[1], row[2]) for row in rows] == [
        (order["number"], str(order["orderedAt"]), order["customer"]) for order in orders
    ]
    assert [round(float(row[7]) * 100) for row in rows] == [o["totalCents"] for o in orders]
    (total,) = sums(filled, {})
    assert (int(totals[5]), round(float(totals[7]) * 100)) == (total["quantity"], total["cents"])
    assert len(shown["report"]["By month"]) - 2 == len(
        {(o["orderedAt"].year, o["orderedAt"].month) for o in orders}
    )
    assert result.rows == len(rows)

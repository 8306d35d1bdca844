"""Reports over collections, as Excel workbooks; they read the database themselves."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from pymongo import ASCENDING, MongoClient
from pymongo.collection import Collection

from jobs_service.job import Discard, Run, job
from jobs_service.sheets.columns import Column, Kind
from jobs_service.sheets.sheet import Chart, Sheet
from jobs_service.sheets.workbook import write_workbook
from shared.contracts.reports import OrdersReport, ReportFile

_EXCEL: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_BATCH: Final = 10_000
"""Documents a batch of the cursor: 450,000 a second then, for a few MB."""
_PROGRESS_ROWS: Final = 500
_MAX_MONTHS: Final = 9_999 * 12

_FIELDS: Final = (
    "number",
    "orderedAt",
    "customer",
    "country",
    "product",
    "quantity",
    "unitPriceCents",
    "totalCents",
)
_ORDER_COLUMNS: Final = (
    Column("Order", Kind.INTEGER, format="0", width=10),
    Column("Ordered at (UTC)", Kind.DATETIME, width=20),
    Column("Customer", Kind.TEXT, width=26),
    Column("Country", Kind.TEXT, width=16),
    Column("Product", Kind.TEXT, width=26),
    Column("Quantity", Kind.INTEGER, width=11, total=True),
    Column("Unit price", Kind.MONEY, width=12),
    Column("Total", Kind.MONEY, width=16, total=True),
)
_MONTH_COLUMNS: Final = (
    Column("Month", Kind.DATE, format="yyyy-mm", width=12),
    Column("Orders", Kind.INTEGER, width=12, total=True),
    Column("Quantity", Kind.INTEGER, width=12, total=True),
    Column("Total", Kind.MONEY, width=16, total=True),
)


@job(OrdersReport)
def orders(params: OrdersReport, run: Run) -> ReportFile:
    """A workbook of the orders of a period, in order of time, and of its months.

    It holds the orders that there were when it started counting; those that come in while
    it is written are for the next one.

    Raises:
        Discard: the period ends before it starts.
    """
    if params.start and params.end and params.end < params.start:
        raise Discard(
            "bad-period",
            f"The period ends ({params.end}) before it starts ({params.start})."
            " Choose an end on or after the start.",
        )
    collection = _database(run.database_url)["orders"]
    period = _period(params)
    count = collection.count_documents(period)
    months: dict[date, _Month] = {}
    sheets = [
        Sheet("Orders", _ORDER_COLUMNS, _rows(collection, period, count, months, run), count),
        Sheet(
            "By month",
            _MONTH_COLUMNS,
            _month_rows(months),
            _MAX_MONTHS,
            chart=Chart("column", "Orders by month", "Month", ["Total"]) if count else None,
        ),
    ]
    output = run.output(_filename(params), _EXCEL)
    with open(output.fd, "w+b", closefd=False) as file:
        write_workbook(sheets, file)
    return ReportFile(
        id=output.id,
        filename=output.filename,
        content_type=_EXCEL,
        size=output.size,
        rows=sum(month.orders for month in months.values()),
    )


@dataclass(slots=True)
class _Month:
    """What the orders of a month add up to."""

    orders: int = 0
    quantity: int = 0
    cents: int = 0


@functools.cache
def _database(url: str) -> Any:
    """The database that ``url`` names, opened once and kept for the child's life.

    A client must not be shared over a fork, and a child is forked for its whole life, so
    the first report in a child is the right moment.
    """
    client: MongoClient[dict[str, Any]] = MongoClient(url, appname="tandem report")
    return client.get_default_database()


def _period(params: OrdersReport) -> dict[str, Any]:
    """The filter for the days from ``start`` to ``end``, both included, in UTC."""
    bounds = {}
    if params.start:
        bounds["$gte"] = datetime.combine(params.start, time.min, UTC)
    if params.end and params.end < date.max:
        bounds["$lt"] = datetime.combine(params.end + timedelta(days=1), time.min, UTC)
    return {"orderedAt": bounds} if bounds else {}


def _rows(
    collection: Collection[dict[str, Any]],
    period: dict[str, Any],
    count: int,
    months: dict[date, _Month],
    run: Run,
) -> Iterator[list[Any]]:
    """The values of one order after the other; ``months`` grows with them."""
    if not count:  # limit=0 would mean no limit
        run.progress(0, 0, "0 of 0 rows")
        return
    projection = {"_id": False} | dict.fromkeys(_FIELDS, True)
    by_time = [("orderedAt", ASCENDING)]  # read off the index: nothing has to be sorted
    done = 0
    with collection.find(
        period, projection, sort=by_time, batch_size=_BATCH, limit=count
    ) as cursor:
        for document in cursor:
            _add_to_month(months, document)
            yield [document.get(field) for field in _FIELDS]
            done += 1
            if done % _PROGRESS_ROWS == 0:
                run.progress(done, count, f"{done:,} of {count:,} rows")
    # Orders that were deleted meanwhile are missing: then this is all there is.
    run.progress(done, done, f"{done:,} of {done:,} rows")


def _add_to_month(months: dict[date, _Month], document: dict[str, Any]) -> None:
    ordered_at: datetime = document["orderedAt"]
    key = date(ordered_at.year, ordered_at.month, 1)
    month = months.get(key)
    if month is None:
        month = months[key] = _Month()
    month.orders += 1
    month.quantity += document["quantity"]
    month.cents += document["totalCents"]


def _month_rows(months: dict[date, _Month]) -> Iterator[tuple[date, int, int, int]]:
    """A generator, so that it looks at ``months`` after the orders were written."""
    for key, month in sorted(months.items()):
        yield key, month.orders, month.quantity, month.cents


def _filename(params: OrdersReport) -> str:
    start = f"-from-{params.start}" if params.start else ""
    end = f"-to-{params.end}" if params.end else ""
    return f"orders{start}{end}.xlsx"

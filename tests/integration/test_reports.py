"""A report of 100,000 orders: asked for over HTTP, opened by openpyxl and by LibreOffice."""

import asyncio
import csv
import io
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pymongo import MongoClient

from shared.models.database import open_database
from shared.models.order_store import OrderStore
from tests.support.programs import soffice
from tests.support.stack import Api, Stack

ORDERS = 100_000
SUMS = {
    "$group": {
        "_id": None,
        "orders": {"$sum": 1},
        "quantity": {"$sum": "$quantity"},
        "cents": {"$sum": "$totalCents"},
        "first": {"$min": "$orderedAt"},
        "last": {"$max": "$orderedAt"},
    }
}


@pytest.fixture(scope="module")
def sums(stack: Stack, mongo_url: str) -> Any:
    """What MongoDB itself says of the 100,000 sample orders."""

    async def seed() -> None:
        async with open_database(mongo_url, stack.database) as database:
            await OrderStore(database).seed(ORDERS)

    asyncio.run(seed())
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    with client:
        yield next(iter(client[stack.database]["orders"].aggregate([SUMS])))
        client[stack.database]["orders"].delete_many({})


async def report(api: Api, params: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The finished job of a report, and its workbook."""
    job = await api.ended(await api.submit("reports.orders", params), 120)
    assert job["state"] == "completed", job
    [file] = job["files"]
    assert file["filename"].endswith(".xlsx")
    return job, await api.download(file["id"])


def rows_of(workbook: bytes, sheet: str) -> list[tuple[Any, ...]]:
    book = openpyxl.load_workbook(io.BytesIO(workbook), read_only=True, data_only=True)
    return [tuple(row) for row in book[sheet].iter_rows(values_only=True)]


async def test_a_report_of_all_orders(ann: Api, sums: dict[str, Any], tmp_path: Path) -> None:
    job, workbook = await report(ann, {})
    assert job["result"]["rows"] == ORDERS == sums["orders"]
    assert job["progress"]["note"] == "100,000 of 100,000 rows"
    header, *rows, total = await asyncio.to_thread(rows_of, workbook, "Orders")
    assert header[:2] == ("Order", "Ordered at (UTC)")
    assert len(rows) == ORDERS
    assert all(isinstance(row[1], datetime) for row in rows)
    assert rows[0][1] == sums["first"].replace(microsecond=0)
    assert rows[-1][1] == sums["last"].replace(microsecond=0)
    assert sum(row[5] for row in rows) == total[5] == sums["quantity"]
    assert round(sum(row[7] for row in rows) * 100) == round(total[7] * 100) == sums["cents"]
    _, *_, months_total = await asyncio.to_thread(rows_of, workbook, "By month")
    assert months_total[1] == ORDERS
    assert round(months_total[3] * 100) == sums["cents"]
    (tmp_path / "report.xlsx").write_bytes(workbook)
    seen = await asyncio.to_thread(through_libreoffice, tmp_path)
    assert len(seen) == ORDERS + 2
    assert seen[1][1] == sums["first"].strftime("%Y-%m-%d %H:%M:%S")
    assert round(float(seen[-1][7].replace(",", "")) * 100) == sums["cents"]


def through_libreoffice(folder: Path) -> list[list[str]]:
    """The first sheet as LibreOffice shows it, recalculated."""
    subprocess.run(
        [
            soffice(),
            f"-env:UserInstallation=file://{folder / 'profile'}",
            "--headless",
            "--convert-to",
            "csv:Text - txt - csv (StarCalc):44,34,76,1",  # comma, quote, UTF-8
            "--outdir",
            folder,
            folder / "report.xlsx",
        ],
        check=True,
        capture_output=True,
        timeout=100,
    )
    with (folder / "report.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


async def test_a_report_of_a_period_has_what_the_summary_says(
    ann: Api, sums: dict[str, Any]
) -> None:
    year = sums["last"].year
    period = {"start": f"{year}-01-01", "end": f"{year}-01-31"}
    _, summary = await ann.json("GET", f"/api/orders/summary?start={year}-01-01&end={year}-01-31")
    assert 0 < summary["count"] < ORDERS
    job, workbook = await report(ann, period)
    assert job["result"]["rows"] == summary["count"]
    _, *rows, total = await asyncio.to_thread(rows_of, workbook, "Orders")
    assert len(rows) == summary["count"]
    assert {(row[1].year, row[1].month) for row in rows} == {(year, 1)}
    assert round(total[7] * 100) == summary["totalCents"]


async def test_a_period_that_ends_before_it_starts_is_refused(
    ann: Api, sums: dict[str, Any]
) -> None:
    params = {"start": "2026-02-01", "end": "2026-01-01"}
    job = await ann.ended(await ann.submit("reports.orders", params))
    assert (job["state"], job["error"]["code"]) == ("discarded", "bad-period")
    status, problem = await ann.json("GET", "/api/orders/summary?start=2026-02-01&end=2026-01-01")
    assert (status, problem["code"]) == (400, "bad-period")


async def test_only_operators_import_orders(ann: Api) -> None:
    form_status, problem = await ann.upload_to("/api/orders/import", b"number\n", "orders.csv")
    assert (form_status, problem["code"]) == (403, "not-operator")


async def test_an_operator_imports_orders_all_or_none(stack: Stack) -> None:
    """The orders are of a day that no other test looks at."""
    header = "number,orderedAt,customer,country,product,quantity,unitPrice\n"
    good = "900001,2031-05-01T10:00:00Z,Ann,France,Tea,2,3.50\n"
    bad = "900002,2031-05-01T10:00:00Z,Ann,France,Tea,many,3.50\n"
    async with stack.client("opal") as operator:
        status, problem = await operator.upload_to(
            "/api/orders/import", (header + good + bad).encode(), "orders.csv"
        )
        assert (status, problem["code"], problem["line"]) == (422, "bad-orders", 3)
        assert problem["column"] == "quantity"
        _, summary = await operator.json(
            "GET", "/api/orders/summary?start=2031-05-01&end=2031-05-01"
        )
        assert summary["count"] == 0
        status, done = await operator.upload_to(
            "/api/orders/import", (header + good).encode(), "orders.csv"
        )
        assert (status, done) == (201, {"imported": 1})
        _, summary = await operator.json(
            "GET", "/api/orders/summary?start=2031-05-01&end=2031-05-01"
        )
        assert (summary["count"], summary["totalCents"]) == (1, 700)

"""Reports: a period chosen, its rows counted up before one's eyes, and the right workbook."""

import asyncio
import io
import re

import openpyxl
import pytest
from playwright.async_api import expect

from tests.browser.browsing import PHONE, Visiting, texts_with
from tests.support.stack import Api

pytestmark = pytest.mark.asyncio(loop_scope="session")

PERIOD = "2025-02-01", "2025-08-31"


async def test_the_rows_of_a_period_count_up_and_the_workbook_holds_its_orders(
    visit: Visiting, user: str, api: Api
) -> None:
    start, end = PERIOD
    _, summary = await api.json("GET", f"/api/orders/summary?start={start}&end={end}")
    browsing = await visit(user, "/reports")
    page = browsing.page
    form = page.get_by_role("form", name="Orders report")
    await form.get_by_label("From").fill(start)
    await form.get_by_label("To").fill(end)
    await expect(page).to_have_url(f"/reports?start={start}&end={end}")
    await expect(form.get_by_role("definition").first).to_have_text(f"{summary['count']:,}")
    await expect(form.get_by_role("definition").last).to_have_text(
        f"{summary['totalCents'] / 100:,.2f}"
    )
    await browsing.watch(".in-work-rows")
    await form.get_by_role("button", name="Make the report").click()
    made = page.get_by_role("list", name="Reports").get_by_role("listitem")
    await expect(made).to_have_accessible_name("Orders, 1 Feb 2025 – 31 Aug 2025")
    await expect(made.get_by_text("Done", exact=True)).to_be_visible()
    await expect(made).to_contain_text(f"{summary['count']:,} rows")
    counted = [
        int(match[1].replace(",", ""))
        for text in await browsing.seen(".in-work-rows")
        if (match := re.match(r"([\d,]+) of ", text))
    ]
    assert counted == sorted(counted)
    assert any(0 < rows < summary["count"] for rows in counted), counted

    name, data = await browsing.download(made.get_by_role("link"))
    assert name == f"orders-from-{start}-to-{end}.xlsx"
    rows, total = await asyncio.to_thread(sum_of, data)
    assert (rows, total) == (summary["count"], summary["totalCents"])


async def test_a_period_that_ends_before_it_starts_is_told_at_once(
    visit: Visiting, user: str
) -> None:
    page = (await visit(user, "/reports?start=2026-02-01&end=2026-01-01", size=PHONE)).page
    await expect(page.get_by_text("The first day is after the last one.")).to_be_visible()
    make = page.get_by_role("button", name="Make the report")
    await expect(make).to_be_disabled()
    await page.get_by_role("button", name="All orders", exact=True).click()
    await expect(page).to_have_url("/reports")
    await expect(page.get_by_role("definition").first).to_have_text("100,000")
    await expect(make).to_be_enabled()


async def test_a_report_in_work_can_be_cancelled(visit: Visiting, user: str) -> None:
    browsing = await visit(user, "/reports")
    page = browsing.page
    await page.get_by_role("button", name="Make the report").click()
    in_work = page.get_by_role("article", name="All orders")
    await expect(in_work).to_contain_text(re.compile(r"[1-9][\d,]* of 100,000 rows"))
    await in_work.get_by_role("button", name="Cancel All orders").click()
    made = page.get_by_role("list", name="Reports").get_by_role("listitem", name="All orders")
    await expect(made.get_by_text("Cancelled", exact=True)).to_be_visible()
    [job_id] = {m["id"] for m in browsing.received if m.get("collection") == "jobs"}
    assert texts_with("cancelled", browsing.changes(job_id, "state"))


def sum_of(data: bytes) -> tuple[int, int]:
    """Orders of the workbook, and their total in cents, added up row by row."""
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    header, *rows, totals = book["Orders"].iter_rows(values_only=True)
    column = header.index("Total")
    cents = sum(round(row[column] * 100) for row in rows)
    assert round(totals[column] * 100) == cents
    return len(rows), cents

"""Report job types."""

from datetime import date

from shared.contracts.contract import Contract
from shared.contracts.files import FileResult


class ReportFile(FileResult, frozen=True, kw_only=True, rename="camel"):
    """A workbook that a run made."""

    rows: int
    """Orders in it; headers and totals not counted."""


class OrdersReport(
    Contract[ReportFile], name="reports.orders", timeout=600, memory="512MB", database=True
):
    """An Excel workbook of the orders placed in a period; all orders by default."""

    start: date | None = None
    """The first day of the period."""
    end: date | None = None
    """The last day of the period, included."""

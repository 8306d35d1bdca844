"""The orders that reports are made of: a summary of a period, and the import of a CSV file."""

from datetime import UTC, date, datetime, time, timedelta

from aiohttp import web

from shared.models.errors import FileTooLarge, InvalidOrders
from web_service.body import file_chunks, file_part, json_response, too_large
from web_service.keys import AUTH, ORDER_IMPORTER, ORDERS, UPLOADS
from web_service.problems import Problem


async def summary(request: web.Request) -> web.Response:
    """How many orders there are from ``start`` to ``end`` (both included), and their total."""
    await request.app[AUTH].user(request)
    start, end = _day(request, "start"), _day(request, "end")
    if start and end and end < start:
        raise Problem(400, "bad-period", "The period ends before it starts.")
    after = None if end in (None, date.max) else _midnight(end) + timedelta(days=1)
    totals = await request.app[ORDERS].totals(None if start is None else _midnight(start), after)
    return json_response(totals)


async def import_csv(request: web.Request) -> web.Response:
    """Add the orders of the multipart field ``file``, a CSV file: all of them, or none."""
    user = await request.app[AUTH].user(request)
    if user.role != "operator":
        raise Problem(403, "not-operator", "Only operators may import orders.")
    limit = request.app[UPLOADS].max_bytes
    file = await file_part(request, limit)
    try:
        count = await request.app[ORDER_IMPORTER].run(file_chunks(file), limit=limit)
    except FileTooLarge:
        raise too_large(limit) from None
    except InvalidOrders as error:
        raise Problem(422, "bad-orders", str(error), line=error.line, column=error.column) from None
    return json_response({"imported": count}, status=201)


def _day(request: web.Request, name: str) -> date | None:
    text = request.query.get(name)
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Problem(400, "bad-request", f"{name} must be a day such as 2026-01-31.") from None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


routes = [
    web.get("/api/orders/summary", summary),
    web.post("/api/orders/import", import_csv),
]

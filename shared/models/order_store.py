"""Orders in MongoDB."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

import msgspec
from pymongo.errors import BulkWriteError

from shared.models.database import Database
from shared.models.orders import ORDERS, Order
from shared.models.sample_orders import sample_orders
from shared.models.types import Document, Timestamp, from_document, to_document

_BATCH = 2_000
_DUPLICATE_KEY = 11000


class OrderTotals(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Sums over the orders of a period."""

    count: int = 0
    quantity: int = 0
    total_cents: int = 0
    first: Timestamp | None = None
    """When the first of them was placed."""
    last: Timestamp | None = None


class OrderStore:
    """The ``orders`` collection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._orders = database.collection(ORDERS.name)

    async def insert_many(self, orders: Iterable[Order]) -> int:
        """Add orders, some thousands at a time; returns how many.

        Raises:
            InvalidDocument: an order is malformed; those before it were added.
            pymongo.errors.BulkWriteError: a number is there already; likewise.
        """
        count = 0
        for batch in _batches(orders):
            await self._orders.insert_many(batch)
            count += len(batch)
        return count

    async def seed(self, count: int) -> int:
        """Add the sample orders that are not there yet; returns how many were added."""
        added = 0
        for batch in _batches(sample_orders(count)):
            added += await self._insert_new(batch)
        return added

    async def count(self, start: datetime | None = None, end: datetime | None = None) -> int:
        """How many orders were placed from ``start`` up to, not including, ``end``."""
        return await self._orders.count_documents(_placed(start, end))

    async def totals(
        self, start: datetime | None = None, end: datetime | None = None
    ) -> OrderTotals:
        """The sums over the orders from ``start`` up to, not including, ``end``."""
        sums: Document = {
            "_id": None,
            "count": {"$sum": 1},
            "quantity": {"$sum": "$quantity"},
            "totalCents": {"$sum": "$totalCents"},
            "first": {"$min": "$orderedAt"},
            "last": {"$max": "$orderedAt"},
        }
        pipeline = [{"$match": _placed(start, end)}, {"$group": sums}]
        for found in await self._database.aggregate(ORDERS.name, pipeline):
            return from_document(found, OrderTotals, ORDERS.name)
        return OrderTotals()

    async def _insert_new(self, batch: list[Document]) -> int:
        try:
            await self._orders.insert_many(batch, ordered=False)
        except BulkWriteError as error:
            if any(failed["code"] != _DUPLICATE_KEY for failed in error.details["writeErrors"]):
                raise
            return int(error.details["nInserted"])
        return len(batch)


def _batches(orders: Iterable[Order]) -> Iterator[list[Document]]:
    documents = map(to_document, orders)
    while batch := list(islice(documents, _BATCH)):
        yield batch


def _placed(start: datetime | None, end: datetime | None) -> Document:
    limits = {"$gte": start, "$lt": end}
    given = {operator: limit for operator, limit in limits.items() if limit is not None}
    return {"orderedAt": given} if given else {}

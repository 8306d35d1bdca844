"""Imports a CSV file of orders: all of it, or nothing.

The file is spooled to disk and checked to its end before the first order is stored. The
orders are then stored under the id of the import, whose own document exists as long as it
goes on: what a killed service leaves behind is found by it, and removed.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import islice
from typing import IO

from bson import ObjectId
from pymongo.errors import BulkWriteError

from shared.models.database import Database
from shared.models.errors import FileTooLarge, InvalidOrders, ModelError
from shared.models.orders import ORDER_IMPORTS, ORDERS, OrderImport
from shared.models.orders_csv import Row, parse_orders
from shared.models.to_the_end import to_the_end
from shared.models.types import Document, now, to_document

_BATCH = 2_000
_MAX_LINE_BYTES = 64 * 1024
_ABANDONED_AFTER = timedelta(minutes=10)
_DUPLICATE_KEY = 11000


class ImportInterrupted(ModelError):
    """The import stood still for so long that it was taken for dead and undone."""


class OrderImporter:
    """Adds orders from CSV files to the ``orders`` collection."""

    def __init__(self, database: Database) -> None:
        self._orders = database.collection(ORDERS.name)
        self._imports = database.collection(ORDER_IMPORTS.name)

    async def run(self, chunks: AsyncIterator[bytes], *, limit: int) -> int:
        """Import what ``chunks`` yields, at most ``limit`` bytes; returns how many orders.

        Until it returns, a reader may see a part of them. Whatever goes wrong, also by
        cancellation, none of them stays.

        Raises:
            InvalidOrders: names line and column of the first mistake; a number that exists
                already, in the file or in the database, is one.
            FileTooLarge: there are more than ``limit`` bytes.
        """
        with tempfile.TemporaryFile() as spool:
            size = 0
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise FileTooLarge(limit)
                await asyncio.to_thread(spool.write, chunk)
            await asyncio.to_thread(_check, spool)
            return await self._store(spool)

    async def undo_abandoned(self) -> int:
        """Remove the orders of imports that nobody goes on with; returns of how many."""
        old = {"touchedAt": {"$lt": now() - _ABANDONED_AFTER}}
        abandoned = await self._imports.find(old, {"_id": 1}).to_list(None)
        for document in abandoned:
            await self._undo(document["_id"])
        return len(abandoned)

    async def _store(self, spool: IO[bytes]) -> int:
        import_id = ObjectId()
        rows = parse_orders(_lines(spool), import_id)
        count = 0
        try:
            started = OrderImport(id=import_id, touched_at=now())
            await self._imports.insert_one(to_document(started))
            while batch := await asyncio.to_thread(_batch, rows):
                await self._touch(import_id)
                await to_the_end(self._insert(batch))
                count += len(batch)
            if not (await self._imports.delete_one({"_id": import_id})).deleted_count:
                raise _interrupted()
        except BaseException:
            await to_the_end(self._undo(import_id))
            raise
        return count

    async def _touch(self, import_id: ObjectId) -> None:
        update = {"$currentDate": {"touchedAt": True}}
        if not (await self._imports.update_one({"_id": import_id}, update)).matched_count:
            raise _interrupted()

    async def _insert(self, batch: list[tuple[int, Document]]) -> None:
        try:
            await self._orders.insert_many([document for _, document in batch])
        except BulkWriteError as error:
            failed = error.details["writeErrors"][0]
            if failed["code"] != _DUPLICATE_KEY:
                raise
            line, document = batch[failed["index"]]
            problem = f"there is an order {document['number']} already"
            raise InvalidOrders(line, "number", problem) from error

    async def _undo(self, import_id: ObjectId) -> None:
        await self._orders.delete_many({"importId": import_id})
        await self._imports.delete_one({"_id": import_id})


def _check(spool: IO[bytes]) -> None:
    for _ in parse_orders(_lines(spool)):
        pass


def _batch(rows: Iterator[Row]) -> list[tuple[int, Document]]:
    return [(line, to_document(order)) for line, order in islice(rows, _BATCH)]


def _lines(spool: IO[bytes]) -> Iterator[str]:
    """The lines of the text, each decoded for itself so that a mistake has its line."""
    spool.seek(0)
    encoding = "utf-8-sig"  # Excel starts its CSV files with a byte order mark
    number = 0
    while line := spool.readline(_MAX_LINE_BYTES):
        number += 1
        if len(line) == _MAX_LINE_BYTES:
            raise InvalidOrders(number, "", f"longer than {_MAX_LINE_BYTES} bytes")
        yield line.decode(encoding)
        encoding = "utf-8"


def _interrupted() -> ImportInterrupted:
    return ImportInterrupted("the import stood still for too long and was undone; try again")

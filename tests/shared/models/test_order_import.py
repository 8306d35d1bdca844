"""An import adds all orders of a file, or none."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.models.database import Database
from shared.models.errors import FileTooLarge, InvalidOrders
from shared.models.order_import import ImportInterrupted, OrderImporter
from shared.models.order_store import OrderStore
from shared.models.orders_csv import COLUMNS
from shared.models.types import now

LIMIT = 10_000_000
ORDERS = 4_500  # more than two batches


def lines(count: int = ORDERS) -> Iterator[str]:
    yield ",".join(COLUMNS)
    for number in range(1, count + 1):
        yield f"{number},2026-03-01,Ada,Türkiye,Lamp,2,12.50"


async def chunks(text: str | bytes) -> AsyncIterator[bytes]:
    data = text.encode() if isinstance(text, str) else text
    for start in range(0, len(data), 10_001):  # cuts through lines and characters
        yield data[start : start + 10_001]


async def nothing_is_left(database: Database) -> bool:
    left = [
        await database.collection(name).count_documents({}) for name in ("orders", "orderImports")
    ]
    return left == [0, 0]


async def test_a_whole_file_is_imported(database: Database) -> None:
    text = "\ufeff" + "\r\n".join(lines())

    assert await OrderImporter(database).run(chunks(text), limit=LIMIT) == ORDERS

    totals = await OrderStore(database).totals()
    assert (totals.count, totals.total_cents) == (ORDERS, ORDERS * 2500)
    assert await database.collection("orderImports").count_documents({}) == 0


async def test_a_mistake_at_the_end_leaves_nothing(database: Database) -> None:
    text = "\n".join([*lines(), "x,2026-03-01,Ada,France,Lamp,2,12.50"])

    with pytest.raises(InvalidOrders, match=rf"^line {ORDERS + 2}, column number"):
        await OrderImporter(database).run(chunks(text), limit=LIMIT)
    assert await nothing_is_left(database)


async def test_a_number_that_is_there_twice_leaves_nothing(database: Database) -> None:
    text = "\n".join([*lines(), "7,2026-03-01,Ada,France,Lamp,2,12.50"])

    with pytest.raises(
        InvalidOrders, match=rf"^line {ORDERS + 2}, column number: .*order 7 already"
    ):
        await OrderImporter(database).run(chunks(text), limit=LIMIT)
    assert await nothing_is_left(database)


async def test_a_number_that_was_there_before_stays_alone(database: Database) -> None:
    importer = OrderImporter(database)
    await importer.run(chunks("\n".join(lines(3))), limit=LIMIT)

    with pytest.raises(InvalidOrders, match=r"^line 2, column number: there is an order 1 already"):
        await importer.run(chunks("\n".join(lines())), limit=LIMIT)
    assert await OrderStore(database).count() == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "^line 1: there is no header line"),
        ("\n".join(lines(5)).encode() + b"\n6,2026-03-01,\xff", "^line 7: not UTF-8 text"),
        (("\n".join(lines(5)) + "\n" + "x" * 100_000).encode(), "^line 7: longer than"),
        (b"\x89PNG\r\n\x1a\n", "^line 1: not UTF-8 text"),
    ],
)
async def test_what_is_no_csv_is_refused(database: Database, data: bytes, message: str) -> None:
    with pytest.raises(InvalidOrders, match=message):
        await OrderImporter(database).run(chunks(data), limit=LIMIT)
    assert await nothing_is_left(database)


async def test_a_file_that_is_too_large_is_refused(database: Database) -> None:
    with pytest.raises(FileTooLarge):
        await OrderImporter(database).run(chunks("\n".join(lines())), limit=50_000)
    assert await nothing_is_left(database)


async def test_a_cancelled_import_leaves_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = asyncio.Event()
    insert = OrderImporter._insert

    async def insert_and_tell(self: OrderImporter, batch: Any) -> None:
        await insert(self, batch)
        stored.set()

    monkeypatch.setattr(OrderImporter, "_insert", insert_and_tell)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(
            OrderImporter(database).run(chunks("\n".join(lines())), limit=LIMIT)
        )
        await stored.wait()
        run.cancel()

    assert run.cancelled()
    assert await nothing_is_left(database)


async def test_what_a_killed_service_left_behind_is_removed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    importer = OrderImporter(database)

    async def killed(self: OrderImporter, import_id: object) -> None:
        """A killed process undoes nothing."""

    text = "\n".join([*lines(), "7,2026-03-01,Ada,France,Lamp,2,12.50"])
    with monkeypatch.context() as patch:
        patch.setattr(OrderImporter, "_undo", killed)
        with pytest.raises(InvalidOrders):
            await importer.run(chunks(text), limit=LIMIT)
    assert await OrderStore(database).count() > 0

    assert await importer.undo_abandoned() == 0  # it may still go on
    long_ago = {"$set": {"touchedAt": now() - timedelta(hours=1)}}
    await database.collection("orderImports").update_many({}, long_ago)
    assert await importer.undo_abandoned() == 1
    assert await nothing_is_left(database)


async def test_an_import_that_was_undone_does_not_go_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = OrderImporter._insert

    async def insert_late(self: OrderImporter, batch: Any) -> None:
        await database.collection("orderImports").delete_many({})
        await insert(self, batch)

    monkeypatch.setattr(OrderImporter, "_insert", insert_late)
    with pytest.raises(ImportInterrupted):
        await OrderImporter(database).run(chunks("\n".join(lines())), limit=LIMIT)
    assert await nothing_is_left(database)

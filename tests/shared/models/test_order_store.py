"""Orders and their sums."""

from datetime import UTC, datetime

import pytest
from pymongo.errors import BulkWriteError

from shared.models.database import Database
from shared.models.order_store import OrderStore, OrderTotals
from shared.models.sample_orders import sample_orders


@pytest.fixture
def orders(database: Database) -> OrderStore:
    return OrderStore(database)


async def test_totals_are_those_of_the_period(orders: OrderStore) -> None:
    samples = list(sample_orders(3_000))
    assert await orders.insert_many(samples) == 3_000
    start, end = samples[500].ordered_at, samples[2_500].ordered_at

    inside = [order for order in samples if start <= order.ordered_at < end]
    assert await orders.totals(start, end) == OrderTotals(
        count=len(inside),
        quantity=sum(order.quantity for order in inside),
        total_cents=sum(order.total_cents for order in inside),
        first=inside[0].ordered_at,
        last=inside[-1].ordered_at,
    )
    assert await orders.count(start, end) == len(inside)
    assert (await orders.totals()).total_cents == sum(order.total_cents for order in samples)
    assert await orders.count() == 3_000


async def test_no_orders_are_no_totals(orders: OrderStore) -> None:
    assert await orders.totals() == OrderTotals()
    assert await orders.totals(datetime(2030, 1, 1, tzinfo=UTC)) == OrderTotals()


async def test_seeding_twice_adds_nothing(orders: OrderStore) -> None:
    assert await orders.seed(2_500) == 2_500
    before = await orders.totals()

    assert await orders.seed(2_500) == 0
    assert await orders.totals() == before


async def test_a_number_exists_once(orders: OrderStore) -> None:
    await orders.insert_many(sample_orders(3))

    with pytest.raises(BulkWriteError):
        await orders.insert_many(sample_orders(1))

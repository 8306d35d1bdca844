"""The sample orders are the same each time."""

from itertools import pairwise

from shared.models.sample_orders import sample_orders
from shared.models.types import from_document, to_document


def test_they_are_the_same_each_time_and_valid() -> None:
    orders = list(sample_orders(2_000))

    assert orders == list(sample_orders(2_000))
    for order in orders:
        assert order == from_document(to_document(order), type(order), "orders")
        assert order.total_cents == order.quantity * order.unit_price_cents
    assert orders != list(sample_orders(2_000, seed=2))


def test_numbers_and_times_rise() -> None:
    for earlier, later in pairwise(sample_orders(1_000)):
        assert later.number == earlier.number + 1
        assert later.ordered_at >= earlier.ordered_at
        assert later.id > earlier.id


def test_none_are_none() -> None:
    assert list(sample_orders(0)) == []

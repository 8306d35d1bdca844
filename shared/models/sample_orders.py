"""Sample orders: as many as are asked for, and the same ones each time."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from shared.models.orders import Order

_FIRST_NUMBER = 100_001
_START = datetime(2025, 1, 1, tzinfo=UTC)
_DAYS = 670
_SECONDS = _DAYS * 24 * 60 * 60

_FIRST_NAMES = (
    "Ada",
    "Björn",
    "Chloé",
    "Dmitri",
    "Elif",
    "Fatima",
    "Giulia",
    "Hiro",
    "Inês",
    "Jan",
)
_LAST_NAMES = (
    "Ahmed",
    "Bauer",
    "Costa",
    "Dubois",
    "Eriksson",
    "Fischer",
    "García",
    "Novák",
    "O’Neill",
    "Şahin",
)
_COUNTRIES = (
    "Brazil",
    "Czechia",
    "France",
    "Germany",
    "Italy",
    "Japan",
    "Portugal",
    "Spain",
    "Sweden",
    "Türkiye",
)
_PRODUCTS = (
    ("Desk lamp", 3_490),
    ("Notebook, A5", 690),
    ("Office chair", 18_900),
    ("Standing desk", 44_900),
    ("Whiteboard 90 × 60", 5_950),
    ("Cable tray", 1_899),
    ("Fountain pen", 2_450),
    ("Monitor arm", 9_990),
    ("Headset", 7_999),
    ("Coffee beans, 1 kg", 1_650),
)  # fmt: skip


def sample_orders(count: int, seed: int = 1) -> Iterator[Order]:
    """``count`` orders from January 2025 on, oldest first, with rising numbers.

    Even their ids are the same each time, so adding them twice adds nothing.
    """
    chance = random.Random(seed)  # noqa: S311 - not a secret
    for index in range(count):
        ordered_at = _START + timedelta(seconds=_SECONDS * index // max(count, 1))
        product, list_price = chance.choice(_PRODUCTS)
        quantity = min(1 + int(chance.expovariate(0.4)), 40)
        unit_price = list_price * chance.randint(80, 100) // 100
        yield Order(
            id=_id(ordered_at, index),
            number=_FIRST_NUMBER + index,
            ordered_at=ordered_at,
            customer=f"{chance.choice(_FIRST_NAMES)} {chance.choice(_LAST_NAMES)}",
            country=chance.choice(_COUNTRIES),
            product=product,
            quantity=quantity,
            unit_price_cents=unit_price,
            total_cents=quantity * unit_price,
        )


def _id(ordered_at: datetime, index: int) -> ObjectId:
    return ObjectId(int(ordered_at.timestamp()).to_bytes(4, "big") + index.to_bytes(8, "big"))

"""The documents of orders, the data that the sample report is about."""

from typing import Annotated

import msgspec
from bson import ObjectId
from msgspec import Meta, field
from pymongo import IndexModel

from shared.models.schema import Collection
from shared.models.types import Timestamp

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Cents = Annotated[int, Meta(ge=-(10**12), le=10**12)]
"""Money as a whole number of cents: sums stay exact."""


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One order of one product."""

    id: ObjectId = field(name="_id")
    number: Annotated[int, Meta(ge=1, lt=2**53)]
    """Unique."""
    ordered_at: Timestamp
    customer: Text
    country: Text
    product: Text
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]
    unit_price_cents: Cents
    total_cents: Annotated[int, Meta(ge=-(10**18), le=10**18)]
    """Quantity times unit price."""
    import_id: ObjectId | None = None
    """The import that brought it."""


class OrderImport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An import that is going on, or was broken off: its orders must not stay."""

    id: ObjectId = field(name="_id")
    touched_at: Timestamp
    """When it last was seen to go on."""


ORDERS = Collection(
    "orders",
    Order,
    (
        IndexModel([("number", 1)], name="number", unique=True),
        IndexModel([("orderedAt", 1), ("_id", 1)], name="ordered_at"),
        # Sparse would do if importId were left out; a partial index holds only what has one.
        IndexModel(
            [("importId", 1)],
            name="import",
            partialFilterExpression={"importId": {"$type": "objectId"}},
        ),
    ),
)

ORDER_IMPORTS = Collection("orderImports", OrderImport)

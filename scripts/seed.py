"""Fills the orders collection with sample data: the same orders each time."""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from settings import load_settings
from shared.models.database import Database, open_database
from shared.models.order_store import OrderStore
from shared.models.orders import ORDERS
from shared.models.prepare import prepare
from shared.models.sample_orders import sample_orders

ROOT = Path(__file__).resolve().parents[1]
COUNT = 100_000


async def is_needed(database: Database, count: int) -> bool:
    """Whether there are no orders at all, or only the first of the samples, cut short."""
    if await OrderStore(database).count() == 0:
        return True
    first = next(sample_orders(count))
    orders = database.collection(ORDERS.name)
    last_number = first.number + count - 1
    return (
        await orders.find_one({"_id": first.id}) is not None
        and await orders.find_one({"number": last_number}) is None
    )


async def main() -> None:
    """Seed the database of the development settings."""
    parser = argparse.ArgumentParser(prog="scripts/seed", description=__doc__)
    parser.add_argument("--count", type=_count, default=COUNT, help=f"orders ({COUNT:,})")
    parser.add_argument("--mongo-url", metavar="URL", help="as MONGO_URL")
    parser.add_argument(
        "--if-empty", action="store_true", help="do nothing where there are orders already"
    )
    given = parser.parse_args()
    environ = {**os.environ, **({"MONGO_URL": given.mongo_url} if given.mongo_url else {})}
    settings = load_settings(str(ROOT / "settings" / "settings-development.json"), environ)
    mongo = settings.mongo
    began = time.monotonic()
    async with open_database(mongo.url, mongo.database, mongo.driver) as database:
        await prepare(database)
        if given.if_empty and not await is_needed(database, given.count):
            return
        _say(f"adding {given.count:,} sample orders")
        added = await OrderStore(database).seed(given.count)
    _say(f"{added:,} orders added in {time.monotonic() - began:.1f} s")


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return int(text)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())

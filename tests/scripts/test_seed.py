from scripts.seed import is_needed
from shared.models.database import open_database
from shared.models.order_store import OrderStore
from shared.models.orders import ORDERS
from shared.models.prepare import prepare


async def test_is_needed_until_it_is_whole(mongo_url: str, database_name: str) -> None:
    async with open_database(mongo_url, database_name) as database:
        await prepare(database)
        assert await is_needed(database, 50)
        await OrderStore(database).seed(50)
        assert not await is_needed(database, 50)
        # Cut short: the last ones are missing.
        await database.collection(ORDERS.name).delete_many({"number": {"$gt": 100_020}})
        assert await is_needed(database, 50)
        # People's own orders are not mixed with samples.
        await database.collection(ORDERS.name).delete_many({"number": {"$lt": 100_010}})
        assert not await is_needed(database, 50)

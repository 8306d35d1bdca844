"""Whatever a task is doing with the database, it ends when it is cancelled."""

import asyncio

from shared.models.database import Database


async def test_a_task_ends_wherever_the_cancellation_meets_it(database: Database) -> None:
    async def busy() -> None:
        while True:
            await database.ping()

    for ticks in range(40):
        # The one before lost its connection; cancelled while connecting, PyMongo leaves the
        # socket to the garbage collector, which warns.
        await database.ping()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            task = group.create_task(busy())
            for _ in range(ticks):
                await asyncio.sleep(0)
            task.cancel()
        assert task.cancelled()

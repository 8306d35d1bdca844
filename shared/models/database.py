"""Opens the database through the driver that the settings name."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

from pymongo import AsyncMongoClient

from shared.models.pymongo_database import Database, Stage

__all__ = ["Database", "Driver", "Stage", "open_database"]

Driver = Literal["pymongo", "motor"]


def open_database(
    url: str, name: str, driver: Driver = "pymongo", *, patience_seconds: float = 10
) -> AbstractAsyncContextManager[Database]:
    """``async with open_database(url, name) as database``; connects when first used.

    An operation waits up to ``patience_seconds`` for a server that takes it, so a restart
    of the database is a pause, not an error.
    """
    options: dict[str, Any] = {
        "appname": "tandem",
        "serverSelectionTimeoutMS": int(patience_seconds * 1000),
        "connectTimeoutMS": 5_000,
        # And no socketTimeoutMS: PyMongo would send with asyncio.wait_for, which in Python 3.11
        # may swallow a cancellation (bugs.python.org/issue37658). A server that hangs is
        # noticed by the driver's own heartbeat, which then ends what waits for it.
    }
    return _opened(url, name, driver, options)


@asynccontextmanager
async def _opened(
    url: str, name: str, driver: Driver, options: dict[str, Any]
) -> AsyncIterator[Database]:
    database = _connect(url, name, driver, options)
    try:
        yield database
    finally:
        await database.close()


def _connect(url: str, name: str, driver: Driver, options: dict[str, Any]) -> Database:
    if driver == "motor":
        # Only now: Motor is deprecated, and whoever does not choose it need not have it.
        from shared.models.motor_database import MotorDatabase

        return MotorDatabase(url, name, options)
    return Database(AsyncMongoClient(url, **options), name)

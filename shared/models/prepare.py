"""What boot does to the database, before a service uses it."""

import asyncio

import structlog
from pymongo.errors import ConnectionFailure

from shared.models.database import Database
from shared.models.files import CHUNKS, FILES
from shared.models.jobs import JOBS
from shared.models.orders import ORDER_IMPORTS, ORDERS
from shared.models.schema import Collection, validator
from shared.models.users import SESSIONS, USERS

log = structlog.get_logger()

_RETRY_SECONDS = 1.0

COLLECTIONS = (JOBS, FILES, CHUNKS, USERS, SESSIONS, ORDERS, ORDER_IMPORTS)


async def prepare(database: Database) -> None:
    """Make the collections, their validators and their indexes what the code says.

    Can be repeated, and run by two services at once; a collection that is in use stays
    usable meanwhile.
    """
    for collection in COLLECTIONS:
        await _prepare(database, collection)


async def prepare_when_up(database: Database) -> None:
    """The same, but a database that can't be reached yet is waited for."""
    while True:
        try:
            await prepare(database)
        except ConnectionFailure as error:
            log.warning("database.waited_for", error=str(error))
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


async def _prepare(database: Database, collection: Collection) -> None:
    options = {
        "validator": validator(collection.type),
        # A document that was malformed before can still be changed, so that it does not
        # make an update of many documents fail for all of them.
        "validationLevel": "moderate",
        "validationAction": "error",
    }
    await database.create_collection(collection.name, options)
    if collection.indexes:
        await database.collection(collection.name).create_indexes(list(collection.indexes))

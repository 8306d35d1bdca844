"""The database as the stores see it, on PyMongo's asyncio client.

Stores use the calls that PyMongo's and Motor's collections have in common, and those of
:class:`Database` for the few where the two differ. ``motor_database.py`` is the other
half of that, and the only place that knows Motor.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Any, TypeVar

from bson import Int64
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import CollectionInvalid, OperationFailure
from typing_extensions import override

from shared.models.types import Document

Value = TypeVar("Value")

Stage = Mapping[str, Any]
"""A stage of an aggregation, or of an update that is one."""


_NAMESPACE_EXISTS = 48


class _PlainInt(TypeDecoder):
    """BSON's 64-bit integers as ``int``; the driver's own subclass is no ``int`` to all."""

    bson_type = Int64

    @override
    def transform_bson(self, value: Int64) -> int:
        return int(value)


def codec_options() -> CodecOptions[Document]:
    """How BSON is read: datetimes have the time zone UTC, integers are plain."""
    registry = TypeRegistry([_PlainInt()])
    return CodecOptions(tz_aware=True, tzinfo=UTC, type_registry=registry)


def majority() -> WriteConcern:
    """Of every write: on the disk of most members, so that no failure takes it back.

    It is the fast one for change streams too: what is not journalled at once shows up in
    them with the next flush of the journal, 100 ms later (measured; 1.2 ms with it).
    """
    return WriteConcern("majority", j=True)


class Database:
    """One database; all writes are acknowledged by a majority, journalled and retried."""

    def __init__(self, client: AsyncMongoClient[Document], name: str) -> None:
        self.name = name
        self._client = client
        self._database: AsyncDatabase[Document] = client.get_database(
            name, codec_options=codec_options(), write_concern=majority()
        )

    def collection(self, name: str) -> AsyncCollection[Document]:
        """A collection, for the calls that are the same on both drivers."""
        return self._database[name]

    async def command(self, command: Document) -> Document:
        """Run a database command."""
        return await self._database.command(command)

    async def ping(self) -> None:
        """Return if the database answers.

        Raises:
            pymongo.errors.PyMongoError: it does not.
        """
        await self.command({"ping": 1})

    async def aggregate(self, collection: str, pipeline: Sequence[Stage]) -> list[Document]:
        """All results of an aggregation."""
        cursor = await self._database[collection].aggregate(pipeline)
        return await cursor.to_list()

    @asynccontextmanager
    async def changes(
        self, collection: str, pipeline: Sequence[Stage], resume_after: Mapping[str, Any] | None
    ) -> AsyncIterator[AsyncChangeStream[Document]]:
        """An open change stream: from here on, or from after the event of a resume token."""
        stream = await self._database[collection].watch(
            list(pipeline), full_document="updateLookup", resume_after=resume_after
        )
        async with stream:
            yield stream

    async def transaction(self, work: Callable[[AsyncClientSession], Awaitable[Value]]) -> Value:
        """Run ``work`` in a transaction; it may run again when the transaction has to."""
        async with self._client.start_session() as session:
            return await session.with_transaction(work)

    async def create_collection(self, name: str, options: Mapping[str, Any]) -> None:
        """Create a collection, or change an existing one to have these options."""
        try:
            await self._database.create_collection(name, **options)
        except CollectionInvalid:  # the driver looked: it exists
            await self.command({"collMod": name, **options})
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:  # made by another service just now
                raise
            await self.command({"collMod": name, **options})

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

"""The same database through Motor, PyMongo's deprecated predecessor, for who needs it.

All differences between the two drivers that concern the stores are in this file.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.client_session import AsyncClientSession
from typing_extensions import override

from shared.models.pymongo_database import Database, Stage
from shared.models.types import Document

Value = TypeVar("Value")


class MotorDatabase(Database):
    """A :class:`Database` whose collections and sessions are Motor's."""

    def __init__(self, url: str, name: str, options: Mapping[str, Any]) -> None:
        self._motor: Any = AsyncIOMotorClient(url, **options)
        # What the base class does with its client and collections, Motor's do as well.
        super().__init__(cast("AsyncMongoClient[Document]", self._motor), name)

    @override
    async def aggregate(self, collection: str, pipeline: Sequence[Stage]) -> list[Document]:
        cursor: Any = self.collection(collection).aggregate(pipeline)  # not awaited
        return cast("list[Document]", await cursor.to_list(None))

    @override
    @asynccontextmanager
    async def changes(
        self, collection: str, pipeline: Sequence[Stage], resume_after: Mapping[str, Any] | None
    ) -> AsyncIterator[AsyncChangeStream[Document]]:
        unopened: Any = self.collection(collection).watch(
            list(pipeline), full_document="updateLookup", resume_after=resume_after
        )
        async with unopened as stream:
            yield stream

    @override
    async def transaction(self, work: Callable[[AsyncClientSession], Awaitable[Value]]) -> Value:
        async with await self._motor.start_session() as session:
            return cast("Value", await session.with_transaction(work))

    @override
    async def close(self) -> None:
        self._motor.close()  # no coroutine

"""Live lists of documents: one change stream for each collection, however many people look.

All who ask for the same list share it: what the database finds for it, and every change of
it, is turned into what they see, and encoded, once. A change costs something only where it
is seen.
"""

import asyncio
import functools
import weakref
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import structlog
from bson import ObjectId
from pymongo.errors import ConnectionFailure

from shared.models.changes import Change
from shared.rpc.ddp.document import Document
from shared.rpc.ejson import equals
from shared.rpc.server import Subscription
from web_service.live_list import LiveList, Step

log = structlog.get_logger()

_QUERIES_AT_ONCE = 8
"""Of those that fill lists; when everybody reconnects, the others wait their turn."""
_SUBSCRIPTIONS_AT_ONCE = 100
"""How many are told of a change before the rest of the loop has its turn."""
_PAUSE_SECONDS = 1.0
"""After the database could not be reached."""


class Owned(Protocol):
    """A record of the database that belongs to somebody."""

    @property
    def id(self) -> ObjectId: ...
    @property
    def owner(self) -> ObjectId | None: ...


RecordType = TypeVar("RecordType", bound=Owned)


class Store(Protocol[RecordType]):
    """Where a feed's records are."""

    async def get(self, record_id: ObjectId, owner: ObjectId, /) -> RecordType | None: ...
    async def mine(self, owner: ObjectId, limit: int) -> list[RecordType]: ...
    def watch(self) -> AsyncGenerator[Change[RecordType], None]: ...


class Newest(msgspec.Struct, frozen=True):
    """The list of an owner's newest documents."""

    owner: ObjectId
    limit: int

    @property
    def key(self) -> ObjectId:
        """Changes that it may want have this as their id, or as their owner's."""
        return self.owner

    async def find(self, store: Store[RecordType]) -> list[RecordType]:
        return await store.mine(self.owner, self.limit)


class One(msgspec.Struct, frozen=True):
    """The list of one document, if it is its owner's."""

    owner: ObjectId
    id: ObjectId
    limit: int = 1

    @property
    def key(self) -> ObjectId:
        return self.id

    async def find(self, store: Store[RecordType]) -> list[RecordType]:
        found = await store.get(self.id, self.owner)
        return [] if found is None else [found]


class Feed(Generic[RecordType]):
    """Keeps subscriptions at lists of one collection's documents."""

    def __init__(
        self,
        collection: str,
        store: Store[RecordType],
        view: Callable[[RecordType], Mapping[str, Any]],
    ) -> None:
        """``collection`` is the name for DDP; ``view`` makes the fields that are shown."""
        self._collection = collection
        self._store = store
        self._view = view
        self._lists: dict[Newest | One, _Shown] = {}
        self._by_key: dict[ObjectId, set[_Shown]] = {}
        self._by_document: dict[ObjectId, set[_Shown]] = {}
        self._documents: weakref.WeakValueDictionary[ObjectId, Document] = (
            weakref.WeakValueDictionary()
        )
        self._unfilled: asyncio.Queue[_Shown] = asyncio.Queue()
        self._being_filled: set[_Shown] = set()
        self._turn = asyncio.Lock()  # all are told of one thing before the next one happens

    async def run(self) -> None:
        """Follow the change stream until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_QUERIES_AT_ONCE):
                group.create_task(self._fill_lists())
            async with aclosing(self._store.watch()) as stream:
                async for change in stream:
                    async with self._turn:
                        await self._take(change)

    async def publish(self, sub: Subscription, query: Newest | One) -> None:
        """Keep ``sub`` at what ``query`` finds.

        Raises:
            LookupError: it was to find one document, and there is none.
            PyMongoError: the database could not be asked.
        """
        shown = self._list_of(query)
        shown.subscriptions.add(sub)
        sub.on_stop(functools.partial(self._leave, shown, sub))
        if shown.list.is_filled:
            for document_id, document in shown.list.newest_first():
                sub.added(self._collection, document_id, document)
        else:
            await shown.wait_until_filled()
        if isinstance(query, One) and not shown.list.documents:
            raise LookupError(query.id)
        sub.ready()

    def _list_of(self, query: Newest | One) -> "_Shown":
        shown = self._lists.get(query)
        if shown is None:
            shown = self._lists[query] = _Shown(query)
            # Watch first, look second: nothing changes in between unnoticed.
            self._by_key.setdefault(query.key, set()).add(shown)
            self._fill_soon(shown)
        return shown

    def _leave(self, shown: "_Shown", sub: Subscription) -> None:
        shown.subscriptions.discard(sub)
        if not shown.subscriptions:
            self._forget(shown)

    def _forget(self, shown: "_Shown") -> None:
        if self._lists.get(shown.query) is not shown:
            return
        del self._lists[shown.query]
        _remove(self._by_key, shown.query.key, shown)
        for document_id in shown.list.documents:
            _remove(self._by_document, document_id, shown)

    async def _take(self, change: Change[RecordType]) -> None:
        if change.kind == "resync":
            for shown in self._lists.values():
                self._fill_soon(shown)
        elif change.id is not None:
            document: Document | None = None
            for shown in self._interested(change.id, change.record):
                if change.record is not None and document is None:
                    document = self._document(change.record)
                await self._tell(shown, shown.list.take(change.id, document))

    def _interested(self, record_id: ObjectId, record: RecordType | None) -> "Collection[_Shown]":
        if record is None:
            return {*self._by_document.get(record_id, ()), *self._being_filled}
        owner = record.owner
        lists = [*self._by_key.get(record_id, ())]
        if owner is not None:
            lists += self._by_key.get(owner, ())
        return [shown for shown in lists if shown.query.owner == owner]

    def _document(self, record: RecordType) -> Document:
        """What all who see this version of a record share."""
        document = Document(self._view(record))
        known = self._documents.get(record.id)
        if known is not None and equals(dict(known), dict(document)):
            return known
        self._documents[record.id] = document
        return document

    # Filling lists

    def _fill_soon(self, shown: "_Shown") -> None:
        if not shown.is_waiting:
            shown.is_waiting = True
            self._unfilled.put_nowait(shown)

    async def _fill_lists(self) -> None:
        while True:
            shown = await self._unfilled.get()
            shown.is_waiting = False
            if shown.subscriptions:
                self._being_filled.add(shown)
                try:
                    await self._fill(shown)
                finally:
                    self._being_filled.discard(shown)

    async def _fill(self, shown: "_Shown") -> None:
        shown.list.begin_fill()
        try:
            records = await shown.query.find(self._store)
        except Exception as error:  # noqa: BLE001 - those who look are told
            async with self._turn:
                await self._tell(shown, shown.list.end_fill(None))
            self._not_filled(shown, error)
            return
        async with self._turn:
            found = {record.id: self._document(record) for record in records}
            await self._tell(shown, shown.list.end_fill(found))
            shown.filled(None)

    def _not_filled(self, shown: "_Shown", error: Exception) -> None:
        if not shown.list.is_filled:
            self._forget(shown)
            shown.filled(error)
        elif isinstance(error, ConnectionFailure):
            log.warning("feed.not_filled", collection=self._collection, error=str(error))
            asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self._fill_soon, shown)
        else:
            for sub in list(shown.subscriptions):
                sub.error(error)

    # Telling those who look

    async def _tell(self, shown: "_Shown", steps: list[Step]) -> None:
        if not shown.subscriptions:
            return  # nobody is left, and the list is forgotten
        if shown.list.is_short:
            self._fill_soon(shown)
        if not steps:
            return
        self._note(shown, steps)
        # Whoever comes from here on is shown the list as it is now.
        for number, sub in enumerate(list(shown.subscriptions), 1):
            self._tell_one(sub, steps)
            if number % _SUBSCRIPTIONS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _note(self, shown: "_Shown", steps: list[Step]) -> None:
        for step in steps:
            if step.after is None:
                _remove(self._by_document, step.id, shown)
            else:
                self._by_document.setdefault(step.id, set()).add(shown)

    def _tell_one(self, sub: Subscription, steps: list[Step]) -> None:
        try:
            for document_id, before, after in steps:
                if after is None:
                    sub.removed(self._collection, document_id)
                elif before is None:
                    sub.added(self._collection, document_id, after)
                else:
                    sub.replaced(self._collection, document_id, after)
        except Exception as error:  # noqa: BLE001 - error() logs it, and the others go on
            sub.error(error)


class _Shown:
    """A list, and the subscriptions that are kept at it."""

    __slots__ = ("_error", "_filled", "is_waiting", "list", "query", "subscriptions")

    def __init__(self, query: Newest | One) -> None:
        self.query = query
        self.list = LiveList(query.limit)
        self.subscriptions: set[Subscription] = set()
        self.is_waiting = False
        """Whether it is in the queue of those to be filled."""
        self._filled = asyncio.Event()
        self._error: Exception | None = None

    async def wait_until_filled(self) -> None:
        """Wait for its first documents; raises why it can't have them."""
        await self._filled.wait()
        if self._error is not None:
            raise self._error

    def filled(self, error: Exception | None) -> None:
        """The database has answered."""
        self._error = error
        self._filled.set()


def _remove(index: dict[ObjectId, set[_Shown]], key: ObjectId, shown: _Shown) -> None:
    lists = index.get(key)
    if lists is not None:
        lists.discard(shown)
        if not lists:
            del index[key]

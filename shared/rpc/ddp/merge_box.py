"""The merge box: what one client sees of every document, over all its subscriptions.

Each collection has one of Meteor's strategies, which says how much is known of what the
client has. What comes out of every operation is the one change the client must be told,
or None.

=======================  ==================  ================================  ================
strategy                 kept here           a subscription ends               added twice
=======================  ==================  ================================  ================
``SERVER_MERGE``         all fields          what only it published is gone    only what is new
``NO_MERGE_MULTI``       who has which id    what only it published is gone    ``changed``
``NO_MERGE``             its ids             all it published is gone          ``added`` again
``NO_MERGE_NO_HISTORY``  nothing             nothing                           ``added`` again
=======================  ==================  ================================  ================
"""

from collections.abc import Hashable, Iterator, Mapping
from enum import Enum

from shared.rpc.ddp.changes import Change, DocumentRemoved, Fields
from shared.rpc.ddp.document import Document
from shared.rpc.ddp.merged import MergedCollection
from shared.rpc.ddp.unmerged import CountedCollection, added_as_it_is, changed_as_it_is
from shared.rpc.errors import MethodError


class Strategy(Enum):
    """How the documents of one collection are published."""

    SERVER_MERGE = "SERVER_MERGE"
    """Subscriptions may overlap in any way, and only what is new is sent."""
    NO_MERGE_MULTI = "NO_MERGE_MULTI"
    """Subscriptions may have the same documents, with all their fields."""
    NO_MERGE = "NO_MERGE"
    """No two subscriptions of a session have the same document."""
    NO_MERGE_NO_HISTORY = "NO_MERGE_NO_HISTORY"
    """Documents are events: sent, and forgotten."""


_Known = MergedCollection | CountedCollection


class MergeBox:
    """The documents of one session. Subscriptions are told apart by identity or value."""

    __slots__ = ("_held", "_held_count", "_is_rerun", "_known", "_max_documents", "_strategies")

    def __init__(
        self,
        strategies: Mapping[str, Strategy] | None = None,
        *,
        max_documents: int | None = None,
        is_rerun: bool = False,
    ) -> None:
        """``strategies``: of each collection that is not ``SERVER_MERGE``.

        ``max_documents``: how many its subscriptions may have, one that two of them have
        counted twice; None: any number.
        ``is_rerun``: nothing is told before :meth:`changes_since` is asked.
        """
        self._strategies = strategies or {}
        self._max_documents = max_documents
        self._is_rerun = is_rerun
        self._known: dict[str, _Known] = {}
        self._held: dict[Hashable, dict[str, dict[str, None]]] = {}
        self._held_count = 0

    @property
    def is_empty(self) -> bool:
        """Whether no document is known to be in view."""
        return not self._known and not any(
            document_ids for held in self._held.values() for document_ids in held.values()
        )

    def is_told_at_once(self, collection: str) -> bool:
        """Whether :meth:`changes_since` will not tell of new documents: they aren't known."""
        return self.strategy_of(collection) in (Strategy.NO_MERGE, Strategy.NO_MERGE_NO_HISTORY)

    def strategy_of(self, collection: str) -> Strategy:
        """How the documents of a collection are published."""
        return self._strategies.get(collection, Strategy.SERVER_MERGE)

    def added(
        self, subscription: Hashable, collection: str, document_id: str, fields: Fields
    ) -> Change | None:
        """A subscription publishes a document (again: its fields are new to it).

        Raises:
            MethodError: ``too-many-documents``; nothing was done.
        """
        strategy = self.strategy_of(collection)
        if strategy is not Strategy.NO_MERGE_NO_HISTORY:
            self._hold(subscription, collection, document_id)
        if self.is_told_at_once(collection):
            return added_as_it_is(collection, document_id, fields)
        known = self._known.get(collection)
        if known is None:
            known = self._known[collection] = self._new_collection(collection, strategy)
        return known.added(subscription, document_id, fields)

    def changed(
        self, subscription: Hashable, collection: str, document_id: str, fields: Fields
    ) -> Change | None:
        """A subscription changes fields; the value ``UNDEFINED`` clears one.

        Raises:
            LookupError: it did not publish that document, as far as is known.
        """
        if self.is_told_at_once(collection):
            return changed_as_it_is(collection, document_id, fields)
        self._check_held(subscription, collection, document_id)
        return self._known[collection].changed(subscription, document_id, fields)

    def replaced(
        self, subscription: Hashable, collection: str, document_id: str, document: Document
    ) -> Change | None:
        """A subscription has another version of a document; fields that are not in it are gone.

        Where no fields are kept, all are told, and none is known to be gone.

        Raises:
            LookupError: it did not publish that document, as far as is known.
        """
        if self.is_told_at_once(collection):
            return changed_as_it_is(collection, document_id, document)
        self._check_held(subscription, collection, document_id)
        return self._known[collection].replaced(subscription, document_id, document)

    def removed(self, subscription: Hashable, collection: str, document_id: str) -> Change | None:
        """A subscription no longer publishes a document.

        Raises:
            LookupError: it did not publish that document, as far as is known.
        """
        if self.is_told_at_once(collection):
            if self._holds(subscription, collection, document_id):
                self._release(subscription, collection, document_id)
            return DocumentRemoved(collection, document_id)
        self._check_held(subscription, collection, document_id)
        self._release(subscription, collection, document_id)
        known = self._known[collection]
        change = known.removed(subscription, document_id)
        if known.is_empty:
            del self._known[collection]
        return change

    def leave(self, subscription: Hashable) -> Iterator[Change]:
        """A subscription ends: takes back all it published, by collection, in order."""
        for collection, document_ids in self._held.get(subscription, {}).items():
            for document_id in list(document_ids):
                change = self.removed(subscription, collection, document_id)
                if change is not None:
                    yield change
        self._held.pop(subscription, None)

    def changes_since(self, before: "MergeBox") -> Iterator[Change]:
        """What a client must be told that saw ``before``, to see this."""
        mine = self._ids_by_collection()
        for collection, document_ids in before._ids_by_collection().items():  # noqa: SLF001
            for document_id in document_ids:
                if document_id not in mine.get(collection, ()):
                    yield DocumentRemoved(collection, document_id)
        for collection, known in self._known.items():
            seen = before._known.get(collection)  # noqa: SLF001
            # a collection has the same strategy in both
            if isinstance(known, MergedCollection):
                assert not isinstance(seen, CountedCollection)
                yield from known.changes_since(seen)
            else:
                assert not isinstance(seen, MergedCollection)
                yield from known.changes_since(seen)
        self._is_rerun = False

    def _new_collection(self, name: str, strategy: Strategy) -> _Known:
        if strategy is Strategy.NO_MERGE_MULTI:
            return CountedCollection(name, keep_fields=self._is_rerun)
        return MergedCollection(name)

    def _ids_by_collection(self) -> dict[str, dict[str, None]]:
        """The ids that the client has, as far as is known."""
        found: dict[str, dict[str, None]] = {
            name: dict.fromkeys(known.documents) for name, known in self._known.items()
        }
        for held in self._held.values():
            for collection, document_ids in held.items():
                found.setdefault(collection, {}).update(document_ids)
        return found

    def _hold(self, subscription: Hashable, collection: str, document_id: str) -> None:
        if self._holds(subscription, collection, document_id):
            return
        if self._max_documents is not None and self._held_count >= self._max_documents:
            reason = f"A session may have {self._max_documents:,} documents."
            raise MethodError("too-many-documents", reason)
        held = self._held.setdefault(subscription, {}).setdefault(collection, {})
        held[document_id] = None
        self._held_count += 1

    def _release(self, subscription: Hashable, collection: str, document_id: str) -> None:
        del self._held[subscription][collection][document_id]
        self._held_count -= 1

    def _holds(self, subscription: Hashable, collection: str, document_id: str) -> bool:
        return document_id in self._held.get(subscription, {}).get(collection, ())

    def _check_held(self, subscription: Hashable, collection: str, document_id: str) -> None:
        if not self._holds(subscription, collection, document_id):
            raise LookupError(f"{document_id!r} of {collection!r} has not been added")

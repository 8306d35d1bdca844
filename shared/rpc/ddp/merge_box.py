"""The merge box: what one client sees of every document, over all its subscriptions.

This is Meteor's strategy ``SERVER_MERGE``. Each field of a document has a list of the
subscriptions that publish it, the earliest first; the client sees the first one's value.
What comes out of every operation is the one change the client must be told, or None.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import msgspec

from shared.rpc.ejson import UNDEFINED, clone, equals

Fields = Mapping[str, Any]


class DocumentAdded(msgspec.Struct, frozen=True):
    """A document came into view."""

    collection: str
    id: str
    fields: dict[str, Any]


class DocumentChanged(msgspec.Struct, frozen=True):
    """Fields of a document have new values, or are gone."""

    collection: str
    id: str
    fields: dict[str, Any]
    cleared: list[str]


class DocumentRemoved(msgspec.Struct, frozen=True):
    """A document left the view."""

    collection: str
    id: str


Change = DocumentAdded | DocumentChanged | DocumentRemoved


class MergeBox:
    """The documents of one session. Subscriptions are told apart by identity or value."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[str, _Document]] = {}
        """Every document in view; for other merge boxes to compare with."""
        self._held: dict[Hashable, dict[tuple[str, str], None]] = {}

    def added(
        self, subscription: Hashable, collection: str, document_id: str, fields: Fields
    ) -> Change | None:
        """A subscription publishes a document (again: its fields are new to it)."""
        documents = self.collections.setdefault(collection, {})
        self._held.setdefault(subscription, {})[collection, document_id] = None
        document = documents.get(document_id)
        if document is None:
            document = documents[document_id] = _Document(subscription, fields)
            return DocumentAdded(collection, document_id, dict(document.fields))
        change = _Delta()
        document.join(subscription)
        for name, value in fields.items():
            if name != "_id" and value is not UNDEFINED:
                document.put(subscription, name, value, change)
        return change.of(collection, document_id)

    def changed(
        self, subscription: Hashable, collection: str, document_id: str, fields: Fields
    ) -> Change | None:
        """A subscription changes fields; the value ``UNDEFINED`` clears one.

        Raises:
            LookupError: it did not publish that document.
        """
        document = self._document_of(subscription, collection, document_id)
        change = _Delta()
        for name, value in fields.items():
            if name == "_id":
                continue
            if value is UNDEFINED:
                document.clear(subscription, name, change)
            else:
                document.put(subscription, name, value, change)
        return change.of(collection, document_id)

    def removed(self, subscription: Hashable, collection: str, document_id: str) -> Change | None:
        """A subscription no longer publishes a document.

        Raises:
            LookupError: it did not publish that document.
        """
        document = self._document_of(subscription, collection, document_id)
        del self._held[subscription][collection, document_id]
        if document.is_only_of(subscription):
            documents = self.collections[collection]
            del documents[document_id]
            if not documents:
                del self.collections[collection]
            return DocumentRemoved(collection, document_id)
        change = _Delta()
        document.leave(subscription, change)
        return change.of(collection, document_id)

    def leave(self, subscription: Hashable) -> Iterator[Change]:
        """A subscription ends: takes back all it published, in the order it came."""
        for collection, document_id in list(self._held.get(subscription, ())):
            change = self.removed(subscription, collection, document_id)
            if change is not None:
                yield change
        self._held.pop(subscription, None)

    def changes_since(self, before: "MergeBox") -> Iterator[Change]:
        """What a client must be told that saw ``before``, to see this."""
        for collection, documents in before.collections.items():
            mine = self.collections.get(collection, {})
            for document_id in documents:
                if document_id not in mine:
                    yield DocumentRemoved(collection, document_id)
        for collection, mine in self.collections.items():
            theirs = before.collections.get(collection, {})
            for document_id, document in mine.items():
                seen = theirs.get(document_id)
                if seen is None:
                    yield DocumentAdded(collection, document_id, dict(document.fields))
                    continue
                change = _Delta.between(seen.fields, document.fields)
                message = change.of(collection, document_id)
                if message is not None:
                    yield message

    def _document_of(
        self, subscription: Hashable, collection: str, document_id: str
    ) -> "_Document":
        if (collection, document_id) not in self._held.get(subscription, ()):
            raise LookupError(f"{document_id!r} of {collection!r} has not been added")
        return self.collections[collection][document_id]


class _Delta:
    """The fields of one document that its client must be told about."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    @classmethod
    def between(cls, before: Fields, after: Fields) -> "_Delta":
        delta = cls()
        for name, value in after.items():
            if name not in before or not equals(before[name], value):
                delta.values[name] = value
        for name in before:
            if name not in after:
                delta.values[name] = UNDEFINED
        return delta

    def of(self, collection: str, document_id: str) -> DocumentChanged | None:
        if not self.values:
            return None
        fields = {n: value for n, value in self.values.items() if value is not UNDEFINED}
        cleared = [n for n, value in self.values.items() if value is UNDEFINED]
        return DocumentChanged(collection, document_id, fields, cleared)


class _Document:
    """One document: what the client sees, and who stands behind each field.

    Nearly every document has one subscription only; then ``_claims`` is None, and all
    fields are that subscription's.
    """

    __slots__ = ("_claims", "_owners", "fields")

    def __init__(self, subscription: Hashable, fields: Fields) -> None:
        self.fields: dict[str, Any] = {
            name: clone(value)
            for name, value in fields.items()
            if name != "_id" and value is not UNDEFINED
        }
        self._owners: list[Hashable] = [subscription]
        self._claims: dict[str, list[tuple[Hashable, Any]]] | None = None

    def is_only_of(self, subscription: Hashable) -> bool:
        return self._owners == [subscription]

    def join(self, subscription: Hashable) -> None:
        if subscription in self._owners:
            return
        if self._claims is None:
            owner = self._owners[0]
            self._claims = {name: [(owner, value)] for name, value in self.fields.items()}
        self._owners.append(subscription)

    def put(self, subscription: Hashable, name: str, value: Any, change: _Delta) -> None:
        value = clone(value)
        if self._claims is not None:
            claims = self._claims.setdefault(name, [])
            rank = _rank(claims, subscription)
            claims[rank : rank + 1] = [(subscription, value)]
            if rank > 0:
                return  # an earlier subscription's value is the one to see
        if name not in self.fields or not equals(self.fields[name], value):
            change.values[name] = value
        self.fields[name] = value

    def clear(self, subscription: Hashable, name: str, change: _Delta) -> None:
        if name not in self.fields:
            return
        if self._claims is None:
            del self.fields[name]
            change.values[name] = UNDEFINED
            return
        claims = self._claims[name]
        rank = _rank(claims, subscription)
        del claims[rank : rank + 1]
        if not claims:
            del self._claims[name], self.fields[name]
            change.values[name] = UNDEFINED
        elif rank == 0:
            revealed = claims[0][1]
            if not equals(self.fields[name], revealed):
                change.values[name] = revealed
            self.fields[name] = revealed

    def leave(self, subscription: Hashable, change: _Delta) -> None:
        for name in list(self.fields):
            self.clear(subscription, name, change)
        self._owners.remove(subscription)
        if len(self._owners) == 1:
            self._claims = None


def _rank(claims: list[tuple[Hashable, Any]], subscription: Hashable) -> int:
    """The place of a subscription in a field's list; its length when it is not there."""
    for rank, (owner, _value) in enumerate(claims):
        if owner == subscription:
            return rank
    return len(claims)

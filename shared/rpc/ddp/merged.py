"""Collections whose documents are merged: Meteor's strategy ``SERVER_MERGE``.

Each field of a document has a list of the subscriptions that publish it, the earliest
first; the client sees the first one's value.
"""

from collections.abc import Hashable, Iterator
from typing import Any

from shared.rpc.ddp.changes import (
    Change,
    Delta,
    DocumentAdded,
    DocumentRemoved,
    Fields,
)
from shared.rpc.ejson import UNDEFINED, clone, equals


class MergedCollection:
    """The documents of one collection, each with all its fields."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.documents: dict[str, _Document] = {}
        """Every document in view; for its successor to compare with."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is in view."""
        return not self.documents

    def added(self, subscription: Hashable, document_id: str, fields: Fields) -> Change | None:
        """A subscription publishes a document (again: its fields are new to it)."""
        document = self.documents.get(document_id)
        if document is None:
            document = self.documents[document_id] = _Document(subscription, fields)
            return DocumentAdded(self.name, document_id, dict(document.fields))
        change = Delta()
        document.join(subscription)
        for name, value in fields.items():
            if name != "_id" and value is not UNDEFINED:
                document.put(subscription, name, value, change)
        return change.of(self.name, document_id)

    def changed(self, subscription: Hashable, document_id: str, fields: Fields) -> Change | None:
        """A subscription changes fields of a document that it has."""
        document = self.documents[document_id]
        change = Delta()
        for name, value in fields.items():
            if name == "_id":
                continue
            if value is UNDEFINED:
                document.clear(subscription, name, change)
            else:
                document.put(subscription, name, value, change)
        return change.of(self.name, document_id)

    def removed(self, subscription: Hashable, document_id: str) -> Change | None:
        """A subscription takes back a document that it has."""
        document = self.documents[document_id]
        if document.is_only_of(subscription):
            del self.documents[document_id]
            return DocumentRemoved(self.name, document_id)
        change = Delta()
        document.leave(subscription, change)
        return change.of(self.name, document_id)

    def changes_since(self, before: "MergedCollection | None") -> Iterator[Change]:
        """What a client must be told that saw ``before``, to see this."""
        theirs = {} if before is None else before.documents
        for document_id, document in self.documents.items():
            seen = theirs.get(document_id)
            if seen is None:
                yield DocumentAdded(self.name, document_id, dict(document.fields))
                continue
            change = Delta.between(seen.fields, document.fields).of(self.name, document_id)
            if change is not None:
                yield change


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

    def put(self, subscription: Hashable, name: str, value: Any, change: Delta) -> None:
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

    def clear(self, subscription: Hashable, name: str, change: Delta) -> None:
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

    def leave(self, subscription: Hashable, change: Delta) -> None:
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

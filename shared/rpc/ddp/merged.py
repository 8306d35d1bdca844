"""Collections whose documents are merged: Meteor's strategy ``SERVER_MERGE``.

Each field of a document has a list of the subscriptions that publish it, the earliest
first; the client sees the first one's value.
"""

from collections.abc import Hashable, Iterator
from typing import Any

from shared.rpc.ddp.changes import Change, Delta, DocumentAdded, DocumentRemoved, Fields
from shared.rpc.ddp.document import Document
from shared.rpc.ejson import UNDEFINED, clone, equals


class MergedCollection:
    """The documents of one collection, each with all its fields."""

    __slots__ = ("documents", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.documents: dict[str, _Sole | _Joint] = {}
        """Every document in view; for its successor to compare with."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is in view."""
        return not self.documents

    def added(self, subscription: Hashable, document_id: str, fields: Fields) -> Change | None:
        """A subscription publishes a document (again: its fields are new to it)."""
        given = _frozen(fields)
        known = self.documents.get(document_id)
        if known is None:
            if not isinstance(given, Document):
                given = {n: value for n, value in given.items() if value is not UNDEFINED}
            self.documents[document_id] = _Sole(subscription, given)
            return _added(self.name, document_id, given)
        if isinstance(known, _Sole) and known.owner != subscription:
            known = self.documents[document_id] = _Joint(known)
        delta = Delta()
        known.join(subscription)
        for name, value in given.items():
            if value is not UNDEFINED:
                known.put(subscription, name, value, delta)
        return delta.of(self.name, document_id)

    def changed(self, subscription: Hashable, document_id: str, fields: Fields) -> Change | None:
        """A subscription changes fields of a document that it has."""
        known = self.documents[document_id]
        delta = Delta()
        for name, value in _frozen(fields).items():
            if value is UNDEFINED:
                known.clear(subscription, name, delta)
            else:
                known.put(subscription, name, value, delta)
        return delta.of(self.name, document_id)

    def replaced(
        self, subscription: Hashable, document_id: str, document: Document
    ) -> Change | None:
        """A subscription has another version of a document that it has."""
        known = self.documents[document_id]
        if isinstance(known, _Sole):
            before, known.fields = known.fields, document
            return _difference(self.name, document_id, before, document)
        delta = Delta()
        known.replace(subscription, document, delta)
        return delta.of(self.name, document_id)

    def removed(self, subscription: Hashable, document_id: str) -> Change | None:
        """A subscription takes back a document that it has."""
        known = self.documents[document_id]
        if isinstance(known, _Sole):
            del self.documents[document_id]
            return DocumentRemoved(self.name, document_id)
        delta = Delta()
        known.leave(subscription, delta)
        if len(known.owners) == 1:
            self.documents[document_id] = _Sole(known.owners[0], known.fields)
        return delta.of(self.name, document_id)

    def changes_since(self, before: "MergedCollection | None") -> Iterator[Change]:
        """What a client must be told that saw ``before``, to see this."""
        theirs = {} if before is None else before.documents
        for document_id, known in self.documents.items():
            seen = theirs.get(document_id)
            if seen is None:
                yield _added(self.name, document_id, known.fields)
                continue
            change = _difference(self.name, document_id, seen.fields, known.fields)
            if change is not None:
                yield change


class _Sole:
    """A document that one subscription has, as nearly every document: no claims are kept.

    Its fields are a :class:`Document`, which other sessions may have too, as long as that
    is what was published.
    """

    __slots__ = ("fields", "owner")

    def __init__(self, owner: Hashable, fields: Document | dict[str, Any]) -> None:
        self.owner = owner
        self.fields = fields

    def join(self, _subscription: Hashable) -> None:
        """It has it already."""

    def put(self, _subscription: Hashable, name: str, value: Any, delta: Delta) -> None:
        if name not in self.fields or not equals(self.fields[name], value):
            self._own_fields()[name] = value
            delta.values[name] = value

    def clear(self, _subscription: Hashable, name: str, delta: Delta) -> None:
        if name in self.fields:
            del self._own_fields()[name]
            delta.values[name] = UNDEFINED

    def _own_fields(self) -> dict[str, Any]:
        if isinstance(self.fields, Document):
            self.fields = dict(self.fields)
        return self.fields


class _Joint:
    """A document that several subscriptions have: who stands behind each field."""

    __slots__ = ("_claims", "fields", "owners")

    def __init__(self, sole: _Sole) -> None:
        self.fields = dict(sole.fields)
        self.owners = [sole.owner]
        self._claims: dict[str, list[tuple[Hashable, Any]]] = {
            name: [(sole.owner, value)] for name, value in self.fields.items()
        }

    def join(self, subscription: Hashable) -> None:
        if subscription not in self.owners:
            self.owners.append(subscription)

    def put(self, subscription: Hashable, name: str, value: Any, delta: Delta) -> None:
        claims = self._claims.setdefault(name, [])
        rank = _rank(claims, subscription)
        claims[rank : rank + 1] = [(subscription, value)]
        if rank > 0:
            return  # an earlier subscription's value is the one to see
        if name not in self.fields or not equals(self.fields[name], value):
            delta.values[name] = value
        self.fields[name] = value

    def clear(self, subscription: Hashable, name: str, delta: Delta) -> None:
        claims = self._claims.get(name, [])
        rank = _rank(claims, subscription)
        if rank == len(claims):
            return
        del claims[rank]
        if not claims:
            del self._claims[name], self.fields[name]
            delta.values[name] = UNDEFINED
        elif rank == 0:
            revealed = claims[0][1]
            if not equals(self.fields[name], revealed):
                delta.values[name] = revealed
            self.fields[name] = revealed

    def replace(self, subscription: Hashable, document: Document, delta: Delta) -> None:
        for name in [name for name in self.fields if name not in document]:
            self.clear(subscription, name, delta)
        for name, value in document.items():
            self.put(subscription, name, value, delta)

    def leave(self, subscription: Hashable, delta: Delta) -> None:
        for name in list(self.fields):
            self.clear(subscription, name, delta)
        self.owners.remove(subscription)


def _frozen(fields: Fields) -> Document | dict[str, Any]:
    """What a publisher may go on changing, copied; a :class:`Document` is a copy already."""
    if isinstance(fields, Document):
        return fields
    return {name: clone(value) for name, value in fields.items() if name != "_id"}


def _added(collection: str, document_id: str, fields: Document | dict[str, Any]) -> DocumentAdded:
    if isinstance(fields, Document):
        return fields.added(collection, document_id)
    return DocumentAdded(collection, document_id, dict(fields))


def _difference(
    collection: str,
    document_id: str,
    before: Document | dict[str, Any],
    after: Document | dict[str, Any],
) -> Change | None:
    if isinstance(before, Document) and isinstance(after, Document):
        return before.change_to(after, collection, document_id)
    return Delta.between(before, after).of(collection, document_id)


def _rank(claims: list[tuple[Hashable, Any]], subscription: Hashable) -> int:
    """The place of a subscription in a field's list; its length when it is not there."""
    for rank, (owner, _value) in enumerate(claims):
        if owner == subscription:
            return rank
    return len(claims)

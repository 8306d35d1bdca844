"""Collections whose documents are not merged: Meteor's other three strategies.

What a publisher says goes to the client as it is, and no field is kept here. Of
``NO_MERGE_MULTI`` who has which document is kept; of the other two nothing is.
"""

from collections.abc import Hashable, Iterator
from typing import Any

from shared.rpc.ddp.changes import Change, Delta, DocumentAdded, DocumentRemoved, Fields
from shared.rpc.ddp.document import Document
from shared.rpc.ejson import UNDEFINED, clone


class CountedCollection:
    """``NO_MERGE_MULTI``: a document is there as long as a subscription has it."""

    def __init__(self, name: str, *, keep_fields: bool) -> None:
        """``keep_fields``: until :meth:`changes_since` is asked, which then can tell them."""
        self.name = name
        self.documents: dict[str, list[Hashable]] = {}
        """The ids in view, each with the subscriptions that have it."""
        self._kept: dict[str, dict[str, Any]] | None = {} if keep_fields else None

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is in view."""
        return not self.documents

    def added(self, subscription: Hashable, document_id: str, fields: Fields) -> Change | None:
        """A subscription publishes a document; what another one has is only changed."""
        owners = self.documents.get(document_id)
        if owners is None:
            self.documents[document_id] = [subscription]
            self._keep(document_id, fields)
            return added_as_it_is(self.name, document_id, fields)
        if subscription not in owners:
            owners.append(subscription)
        given = {name: value for name, value in fields.items() if value is not UNDEFINED}
        return self.changed(subscription, document_id, given)

    def changed(self, _subscription: Hashable, document_id: str, fields: Fields) -> Change | None:
        """A subscription changes fields of a document that it has."""
        self._keep(document_id, fields)
        return changed_as_it_is(self.name, document_id, fields)

    def replaced(
        self, subscription: Hashable, document_id: str, document: Document
    ) -> Change | None:
        """A subscription has another version of a document that it has: all of it is told."""
        if self._kept is not None:
            self._kept.pop(document_id, None)
        return self.changed(subscription, document_id, document)

    def removed(self, subscription: Hashable, document_id: str) -> Change | None:
        """A subscription takes back a document that it has."""
        owners = self.documents[document_id]
        owners.remove(subscription)
        if owners:
            return None
        del self.documents[document_id]
        if self._kept is not None:
            self._kept.pop(document_id, None)
        return DocumentRemoved(self.name, document_id)

    def changes_since(self, before: "CountedCollection | None") -> Iterator[Change]:
        """What a client must be told that saw ``before``, to see this.

        What the fields were before, nobody knows: all are told.
        """
        kept, self._kept = self._kept or {}, None
        for document_id in self.documents:
            fields = kept.get(document_id, {})
            if before is None or document_id not in before.documents:
                yield added_as_it_is(self.name, document_id, fields)
            elif (change := changed_as_it_is(self.name, document_id, fields)) is not None:
                yield change

    def _keep(self, document_id: str, fields: Fields) -> None:
        if self._kept is not None:
            self._kept.setdefault(document_id, {}).update(clone(dict(fields)))


def added_as_it_is(collection: str, document_id: str, fields: Fields) -> DocumentAdded:
    """What the client is told of a new document, whatever it knows."""
    if isinstance(fields, Document):
        return fields.added(collection, document_id)
    given = {n: v for n, v in fields.items() if n != "_id" and v is not UNDEFINED}
    return DocumentAdded(collection, document_id, given)


def changed_as_it_is(collection: str, document_id: str, fields: Fields) -> Change | None:
    """What the client is told of a change, whatever it knows."""
    delta = Delta()
    delta.values.update((name, value) for name, value in fields.items() if name != "_id")
    return delta.of(collection, document_id)

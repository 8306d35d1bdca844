"""A client's copy of the documents that its subscriptions send.

On a new session the server begins anew. What was here stays until every subscription
that had been ready is ready again, and what methods that were sent again changed is in;
then the difference is applied in one go, so that nobody who watches sees an empty list
in between (Meteor calls this quiescence).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import UNSET, Raw, UnsetType

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.events import DocumentEvent
from shared.rpc.ddp.ids import DocumentIds
from shared.rpc.ejson import UNDEFINED, Ejson, equals
from shared.rpc.errors import EjsonError

Documents = dict[Any, dict[str, Any]]


class LocalCollections:
    """The collections of one client; every change of them comes out as an event."""

    def __init__(self, ejson: Ejson) -> None:
        self._ejson = ejson
        self._ids = DocumentIds(ejson)
        self._shown: dict[str, Documents] = {}
        self._incoming: dict[str, Documents] | None = None
        self._awaited: set[str] = set()
        self.is_complete = True
        """Whether what is shown is what the server has sent."""

    def documents(self, collection: str) -> Mapping[Any, Mapping[str, Any]]:
        """The documents of one collection by id; it follows every change."""
        return self._shown.setdefault(collection, {})

    def begin_anew(self, awaited: set[str]) -> None:
        """Collect in the background what the server sends, until all these have arrived.

        They are ids of subscriptions and of methods, and are told of by :meth:`arrived`.
        """
        self._incoming = {}
        self._awaited = awaited
        self.is_complete = False

    def arrived(self, ids: Iterable[str]) -> list[DocumentEvent]:
        """The documents of these are in; returns what is different once all are."""
        if self.is_complete:
            return []
        self._awaited.difference_update(ids)
        self.is_complete = not self._awaited
        return list(self._show()) if self.is_complete else []

    def _show(self) -> Iterator[DocumentEvent]:
        """Make what was collected what is shown."""
        incoming, self._incoming = self._incoming or {}, None
        for collection in {**self._shown, **incoming}:
            old = self._shown.setdefault(collection, {})
            new = incoming.get(collection, {})
            for document_id in [known for known in old if known not in new]:
                del old[document_id]
                yield DocumentEvent("removed", collection, document_id, {})
            for document_id, fields in new.items():
                before = old.get(document_id)
                old[document_id] = fields
                if before is None:
                    yield DocumentEvent("added", collection, document_id, dict(fields))
                elif changes := _difference(before, fields):
                    yield DocumentEvent("changed", collection, document_id, changes)

    def apply(
        self,
        message: m.Added | m.AddedBefore | m.Changed | m.Removed,
        blobs: list[bytes] | None = None,
    ) -> DocumentEvent | None:
        """Take in what the server says; what makes no sense is ignored."""
        try:
            document_id = self._ids.from_wire(message.id)
            if isinstance(document_id, (dict, list)):
                return None  # no key of a dict; no server of ours sends such an id
            match message:
                case m.Removed():
                    return self._removed(message.collection, document_id)
                case m.Changed():
                    changes = self._fields(message.fields, blobs)
                    if message.cleared is not UNSET:
                        changes |= dict.fromkeys(message.cleared, UNDEFINED)
                    return self._changed(message.collection, document_id, changes)
                case m.Added() | m.AddedBefore():
                    fields = self._fields(message.fields, blobs)
                    return self._added(message.collection, document_id, fields)
        except EjsonError:
            return None

    def _fields(self, raw: Raw | UnsetType, blobs: list[bytes] | None) -> dict[str, Any]:
        fields = {} if raw is UNSET else self._ejson.loads(bytes(raw), blobs)
        if not isinstance(fields, dict):
            raise EjsonError("fields must be an object")
        return fields

    def _added(
        self, collection: str, document_id: Any, fields: dict[str, Any]
    ) -> DocumentEvent | None:
        """A document came; one that is known already gets these fields on top."""
        documents = self._target().setdefault(collection, {})
        if document_id in documents:
            return self._changed(collection, document_id, fields)
        documents[document_id] = fields
        return self._event("added", collection, document_id, dict(fields))

    def _changed(
        self, collection: str, document_id: Any, changes: dict[str, Any]
    ) -> DocumentEvent | None:
        """Fields of a document changed; ``UNDEFINED`` clears one. Unknown ones are ignored."""
        document = self._target().setdefault(collection, {}).get(document_id)
        if document is None:
            return None
        for name, value in changes.items():
            if value is UNDEFINED:
                document.pop(name, None)
            else:
                document[name] = value
        return self._event("changed", collection, document_id, changes)

    def _removed(self, collection: str, document_id: Any) -> DocumentEvent | None:
        """A document left. Unknown ones are ignored."""
        if self._target().setdefault(collection, {}).pop(document_id, None) is None:
            return None
        return self._event("removed", collection, document_id, {})

    def _target(self) -> dict[str, Documents]:
        return self._shown if self._incoming is None else self._incoming

    def _event(
        self, kind: str, collection: str, document_id: Any, fields: dict[str, Any]
    ) -> DocumentEvent | None:
        if self._incoming is not None:
            return None
        return DocumentEvent(kind, collection, document_id, fields)


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    changes = {
        name: value
        for name, value in after.items()
        if name not in before or not equals(before[name], value)
    }
    return changes | {name: UNDEFINED for name in before if name not in after}

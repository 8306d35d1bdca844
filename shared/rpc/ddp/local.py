"""A client's copy of the documents that its subscriptions send.

After a reconnect the server begins anew. What was here stays until every subscription
that had been ready is ready again; then the difference is applied in one go, so that
nobody who watches sees an empty list in between (Meteor calls this quiescence).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.rpc.ddp.events import DocumentEvent
from shared.rpc.ejson import UNDEFINED, equals

Documents = dict[Any, dict[str, Any]]


class LocalCollections:
    """The collections of one client; every change of them comes out as an event."""

    def __init__(self) -> None:
        self._shown: dict[str, Documents] = {}
        self._incoming: dict[str, Documents] | None = None

    def documents(self, collection: str) -> Mapping[Any, Mapping[str, Any]]:
        """The documents of one collection by id; it follows every change."""
        return self._shown.setdefault(collection, {})

    def begin_anew(self) -> None:
        """From now on, collect in the background what the server sends."""
        self._incoming = {}

    def show(self) -> Iterator[DocumentEvent]:
        """Make what was collected what is shown; tells what is different."""
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            return
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

    def added(
        self, collection: str, document_id: Any, fields: dict[str, Any]
    ) -> DocumentEvent | None:
        """A document came; one that is known already gets these fields on top."""
        documents = self._target().setdefault(collection, {})
        if document_id in documents:
            return self.changed(collection, document_id, fields)
        documents[document_id] = fields
        return self._event("added", collection, document_id, dict(fields))

    def changed(
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

    def removed(self, collection: str, document_id: Any) -> DocumentEvent | None:
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

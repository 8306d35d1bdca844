"""A version of a document that many sessions share."""

import weakref
from collections.abc import Iterator, Mapping
from typing import Any

from typing_extensions import override

from shared.rpc.ddp.changes import Delta, DocumentAdded, DocumentChanged, Fields
from shared.rpc.ejson import UNDEFINED, clone


class Document(Mapping[str, Any]):
    """The fields of one version of a document. What it holds must not be changed in place.

    Publish the same object to every session that sees the same: it is held once, and each
    message about it is encoded once. What it is made from is copied.
    """

    __slots__ = ("__weakref__", "_added", "_change", "_fields", "_newer")

    def __init__(self, fields: Fields) -> None:
        self._fields = {
            name: clone(value)
            for name, value in fields.items()
            if name != "_id" and value is not UNDEFINED
        }
        self._added: DocumentAdded | None = None
        self._newer: weakref.ref[Document] | None = None
        self._change: DocumentChanged | None = None

    @override
    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    @override
    def __len__(self) -> int:
        return len(self._fields)

    @override
    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def added(self, collection: str, document_id: str) -> DocumentAdded:
        """What a client is told that sees it for the first time."""
        told = self._added
        if told is None or told.id != document_id or told.collection != collection:
            told = self._added = DocumentAdded(collection, document_id, self._fields)
        return told

    def change_to(
        self, newer: "Document", collection: str, document_id: str
    ) -> DocumentChanged | None:
        """What a client is told that saw this version, and sees ``newer`` from now on.

        The older version remembers it, and the newer one only weakly: no version keeps
        another one in memory.
        """
        told = self._change
        is_known = self._newer is not None and self._newer() is newer
        if not is_known or (told and (told.id != document_id or told.collection != collection)):
            told = Delta.between(self._fields, newer._fields).of(collection, document_id)
            self._change, self._newer = told, weakref.ref(newer)
        return told

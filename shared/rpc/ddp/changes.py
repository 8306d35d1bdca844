"""What a client must be told about one document that it sees."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.rpc.ejson import UNDEFINED, equals

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


class Delta:
    """The fields of one document that its client must be told about."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    @classmethod
    def between(cls, before: Fields, after: Fields) -> "Delta":
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

"""What a client must be told about one document that it sees."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, Raw, UnsetType
from typing_extensions import override

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.parcels import Written, written
from shared.rpc.ejson import UNDEFINED, Ejson, equals

Fields = Mapping[str, Any]


class _Told(ABC):
    """Its message is encoded once, for however many sessions."""

    __slots__ = ("_ejson", "_text")

    def text(self, ejson: Ejson) -> bytes:
        """The message; the same object every time.

        Raises:
            EjsonError: a field can't be written.
        """
        if getattr(self, "_ejson", None) is not ejson:
            self._text = m.encode(self._message(ejson, None))
            self._ejson = ejson
        return self._text

    def letter(self, ejson: Ejson) -> Written:
        """The same where bytes travel beside the text; without any, it is the same text.

        Raises:
            EjsonError: a field can't be written.
        """
        text = self.text(ejson)
        if b'"$b' not in text:  # neither bytes nor what looks like them
            return text
        blobs: list[bytes] = []
        return written(m.encode(self._message(ejson, blobs)), blobs)

    @abstractmethod
    def _message(self, ejson: Ejson, blobs: list[bytes] | None) -> m.ServerMessage: ...


@dataclass(slots=True)
class DocumentAdded(_Told):
    """A document came into view."""

    collection: str
    id: str
    fields: Fields

    @override
    def _message(self, ejson: Ejson, blobs: list[bytes] | None) -> m.ServerMessage:
        return m.Added(self.collection, self.id, _raw(ejson, self.fields, blobs))


@dataclass(slots=True)
class DocumentChanged(_Told):
    """Fields of a document have new values, or are gone."""

    collection: str
    id: str
    fields: Fields
    cleared: list[str]

    @override
    def _message(self, ejson: Ejson, blobs: list[bytes] | None) -> m.ServerMessage:
        raw = _raw(ejson, self.fields, blobs)
        return m.Changed(self.collection, self.id, raw, self.cleared or UNSET)


@dataclass(slots=True)
class DocumentRemoved(_Told):
    """A document left the view."""

    collection: str
    id: str

    @override
    def _message(self, ejson: Ejson, blobs: list[bytes] | None) -> m.ServerMessage:
        return m.Removed(self.collection, self.id)


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


def _raw(ejson: Ejson, fields: Fields, blobs: list[bytes] | None) -> Raw | UnsetType:
    return Raw(ejson.dumps(dict(fields), blobs)) if fields else UNSET

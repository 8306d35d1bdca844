"""The documents that one query finds, as changes come in; no I/O."""

from collections.abc import Mapping
from typing import NamedTuple

from bson import ObjectId

from shared.rpc.ddp.document import Document


class Step(NamedTuple):
    """What those who look at a list must be told of one document."""

    id: ObjectId
    before: Document | None
    """None: it was not in the list."""
    after: Document | None
    """None: it is not any more."""


class LiveList:
    """At most ``limit`` documents, those with the greatest ids: ids grow with time."""

    __slots__ = ("_limit", "_meanwhile", "documents", "is_filled", "is_short")

    def __init__(self, limit: int) -> None:
        self.documents: dict[ObjectId, Document] = {}
        self.is_filled = False
        """Whether the documents are those that the database has."""
        self.is_short = False
        """Whether one has left, and there may be an older one for its place: fill it again."""
        self._limit = limit
        self._meanwhile: dict[ObjectId, Document | None] | None = None

    def begin_fill(self) -> None:
        """The database is being asked; it may answer with what is old by then.

        Nothing changes until :meth:`end_fill`.
        """
        self._meanwhile = {}

    def end_fill(self, found: Mapping[ObjectId, Document] | None) -> list[Step]:
        """Take its answer, and what has changed since it was asked; None: it gave none."""
        before = dict(self.documents)
        if found is not None:
            self.documents = dict(found)
            self.is_filled = True
            self.is_short = False
        meanwhile, self._meanwhile = self._meanwhile or {}, None
        for document_id, document in meanwhile.items():
            self.take(document_id, document)
        return _steps(before, self.documents)

    def take(self, document_id: ObjectId, document: Document | None) -> list[Step]:
        """Take a change: a document as it is now, or None for one that is gone."""
        if self._meanwhile is not None:
            self._meanwhile[document_id] = document
            return []
        before = self.documents.get(document_id)
        if before is document:
            return []
        if document is None:
            return [self._remove(document_id)]
        if before is None and not self._has_room_for(document_id):
            return []
        self.documents[document_id] = document
        steps = [Step(document_id, before, document)]
        if len(self.documents) > self._limit:
            oldest = min(self.documents)
            steps.append(Step(oldest, self.documents.pop(oldest), None))
        return steps

    def newest_first(self) -> list[tuple[ObjectId, Document]]:
        """The documents, as somebody is told who comes to look at them."""
        return sorted(self.documents.items(), key=_id, reverse=True)

    def _remove(self, document_id: ObjectId) -> Step:
        self.is_short = self.is_short or len(self.documents) >= self._limit
        return Step(document_id, self.documents.pop(document_id), None)

    def _has_room_for(self, document_id: ObjectId) -> bool:
        """An older one than all of a full list, or of one that was full, is not for it."""
        if len(self.documents) < self._limit and not self.is_short:
            return True
        return bool(self.documents) and document_id > min(self.documents)


def _steps(before: Mapping[ObjectId, Document], after: Mapping[ObjectId, Document]) -> list[Step]:
    """What is gone first, so that nobody sees more documents than the limit."""
    gone = [Step(id_, document, None) for id_, document in before.items() if id_ not in after]
    changed = [
        Step(id_, before.get(id_), document)
        for id_, document in after.items()
        if before.get(id_) is not document
    ]
    return gone + changed


def _id(item: tuple[ObjectId, Document]) -> ObjectId:
    return item[0]

"""A collection's changes as they happen, over any failure of the database's."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import structlog
from pymongo.errors import OperationFailure, PyMongoError

from shared.models.database import Database, Stage
from shared.models.errors import MalformedDocument
from shared.models.types import Document

log = structlog.get_logger()

Record = TypeVar("Record")

ChangeKind = Literal["resync", "insert", "update", "delete"]

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 5.0

_KINDS: dict[str, ChangeKind] = {
    "insert": "insert",
    "update": "update",
    "replace": "update",
    "delete": "delete",
}

# What changed in a document is not needed beside the document; a large result would be in
# the event twice, and an event over 16 MB ends the stream.
_WITHOUT_DETAILS = ({"$unset": ["updateDescription"]},)


class Change(NamedTuple, Generic[Record]):
    """One change of a document, which is told as it is now.

    ``record`` is None after a delete, and for a ``resync``.
    """

    kind: ChangeKind
    id: Any
    record: Record | None


RESYNC = Change[Any]("resync", None, None)


async def watch_as(
    database: Database,
    collection: str,
    read: Callable[[Document], Record],
    wanted: Sequence[Stage] = (),
) -> AsyncGenerator[Change[Record], None]:
    """The same as :func:`watch`, with documents as ``read`` returns them.

    Those that it finds malformed are left out: one of them must not stop the others.
    """
    async with aclosing(watch(database, collection, wanted)) as stream:
        async for kind, document_id, document in stream:
            try:
                yield Change(kind, document_id, None if document is None else read(document))
            except MalformedDocument as error:
                log.warning(
                    "changes.malformed",
                    collection=collection,
                    id=str(document_id),
                    problem=error.problem,
                )


async def watch(
    database: Database, collection: str, wanted: Sequence[Stage] = ()
) -> AsyncGenerator[Change[Document], None]:
    """Every change of a collection, for ever; close the generator to stop.

    ``wanted``: stages that leave out, in the database, what nobody here needs to hear of.

    The first one is a ``resync``: the stream is open, and what is read from now on misses
    nothing. It comes again whenever changes may have been missed. A lost connection alone
    does not cause one, since the stream goes on where it stopped; an update that can't be
    continued (the oplog was too short, the collection was dropped) does.
    """
    pipeline = (*wanted, *_WITHOUT_DETAILS)
    position: Mapping[str, Any] | None = None
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            async with database.changes(collection, pipeline, position) as stream:
                if position is None:
                    yield RESYNC
                try:
                    async for event in stream:
                        pause = _FIRST_PAUSE_SECONDS
                        if change := _change(event):
                            yield change
                    position = None  # the collection was dropped or renamed
                except PyMongoError:
                    position = stream.resume_token
                    raise
        except OperationFailure as error:
            # Whatever the server refuses, it would refuse again at the same place.
            position = None
            log.warning("changes.refused", collection=collection, error=str(error))
        except PyMongoError as error:
            log.warning("changes.lost", collection=collection, error=str(error))
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - not a secret
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _change(event: Document) -> Change[Document] | None:
    kind = _KINDS.get(event["operationType"])
    if kind is None:
        return None
    return Change(kind, event["documentKey"]["_id"], event.get("fullDocument"))

"""Plain types of documents, and the way between a document and its struct.

A document's type is a frozen msgspec struct with ``rename="camel"``. It is checked when
it is read and when it is written; fields it does not know are left alone, so that old
and new code can work on one database side by side.
"""

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from bson import ObjectId
from msgspec import Meta

from shared.models.errors import InvalidDocument, MalformedDocument

StructType = TypeVar("StructType", bound=msgspec.Struct)

Timestamp = Annotated[datetime, Meta(tz=True)]
"""A moment; the database keeps milliseconds of it, in UTC."""

Count = Annotated[int, Meta(ge=0)]

Document = dict[str, Any]
"""A document as the driver gives and takes it."""


class AnyOwner(Enum):
    """The type of :data:`ANY`."""

    ANY = "any"


ANY: Final = AnyOwner.ANY
"""Says that a document's owner does not matter: for services and operators."""

Owner = ObjectId | Literal[AnyOwner.ANY]
"""Whose documents are meant."""


def owned_by(owner: Owner, field: str = "owner") -> Document:
    """The part of a filter that keeps other people's documents out."""
    return {} if owner is ANY else {field: owner}


def parse_id(text: str) -> ObjectId | None:
    """The id that 24 hex digits stand for, or None if the text is no id at all."""
    return ObjectId(text) if ObjectId.is_valid(text) else None


def now() -> datetime:
    """This machine's clock, in the milliseconds that the database keeps."""
    return to_milliseconds(datetime.now(UTC))


def to_milliseconds(moment: datetime) -> datetime:
    """The moment as the database keeps it."""
    return moment - timedelta(microseconds=moment.microsecond % 1000)


def to_document(value: msgspec.Struct) -> Document:
    """The document that ``value`` is stored as.

    Raises:
        InvalidDocument: a field does not have the type the struct says.
    """
    document: Document = msgspec.to_builtins(value, builtin_types=(datetime, bytes, ObjectId))
    try:
        _convert(document, type(value))
    except msgspec.ValidationError as error:
        raise InvalidDocument(f"not a {type(value).__name__}: {error}") from error
    return document


def from_document(document: Document, type_: type[StructType], collection: str) -> StructType:
    """The struct that a stored document stands for.

    Raises:
        MalformedDocument: it does not have the type's shape.
    """
    try:
        return _convert(document, type_)
    except msgspec.ValidationError as error:
        raise MalformedDocument(collection, document.get("_id"), str(error)) from error


def _convert(document: Document, type_: type[StructType]) -> StructType:
    return msgspec.convert(document, type_, builtin_types=(datetime, bytes), dec_hook=_object_id)


def _object_id(type_: type, value: object) -> object:
    """Accepts an ObjectId for a field of that type; msgspec adds the path to the error."""
    if isinstance(value, type_):
        return value
    raise TypeError(f"Expected `{type_.__name__}`, got `{type(value).__name__}`")

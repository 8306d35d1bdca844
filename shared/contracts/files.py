"""Files as contracts name them: by id as a parameter, described as a result."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from shared.contracts.contract import Contract

FileId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{24}$", title="FileId")]
"""A parameter that names a stored file: 24 hex digits, as in the API."""


class FileResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file that a run made; its owner finds it under this id."""

    id: str
    filename: str
    content_type: str
    size: int
    """Bytes."""


def file_ids_in(request: Contract[Any]) -> Iterator[str]:
    """The file ids among a request's parameters, in the order of its fields."""
    for field in msgspec.structs.fields(request):
        value = getattr(request, field.name)
        if field.type == FileId:
            yield value
        elif field.type == list[FileId]:
            yield from value
        elif field.type == FileId | None and value is not None:
            yield value

"""Files as contracts name them: by id as a parameter, described as a result."""

from functools import cache
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


def file_ids_in(request: Contract[Any]) -> list[str]:
    """The file ids among a request's parameters, each once, in the order of its fields."""
    found: dict[str, None] = {}
    for name in _file_fields(type(request)):
        value: str | list[str] | None = getattr(request, name)
        if value is not None:
            found.update(dict.fromkeys([value] if isinstance(value, str) else value))
    return list(found)


@cache
def _file_fields(contract: type[Contract[Any]]) -> tuple[str, ...]:
    """The fields that name files. Asked for with every call, so it is looked up only once."""
    kinds = (FileId, FileId | None, list[FileId])
    return tuple(field.name for field in msgspec.structs.fields(contract) if field.type in kinds)

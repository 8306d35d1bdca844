"""Parameters and results as they are stored: any JSON-like value, and nothing else.

Their keys belong to the caller, so they may hold what MongoDB gives a meaning to: a
leading ``$`` (an operator, or a DBRef that the driver would turn into an object), or a
dot (a path). Those keys are stored with ``%24`` and ``%2E`` instead, as in a URL, and are
restored when the document is read.
"""

from datetime import datetime
from typing import Any

import bson

from shared.models.errors import InvalidPayload, PayloadTooLarge

MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
"""Of one value. MongoDB refuses documents over 16 MB, and a document holds two of them
beside its history; refused here, a result can't fail when its job is finished already."""

_MAX_DEPTH = 80  # MongoDB's limit is 100, and a document adds a few levels
_INT64 = range(-(2**63), 2**63)

_ESCAPES = str.maketrans({"%": "%25", "$": "%24", ".": "%2E"})


def encode_payload(value: Any, name: str) -> Any:
    """``value`` as it can be stored; ``name`` is what messages call it.

    Takes None, bool, int, float, str, bytes, datetime (with a time zone), lists, tuples and
    dicts with str keys. Datetimes lose what is below a millisecond.

    Raises:
        InvalidPayload: something else is in it; the message says where.
        PayloadTooLarge: it is larger than :data:`MAX_PAYLOAD_BYTES`.
    """
    encoded = _encode(value, name, 0)
    try:
        size = len(bson.encode({"": encoded}))
    except (bson.errors.BSONError, UnicodeError, OverflowError) as error:
        raise InvalidPayload(f"{name} can't be stored: {error}") from error
    if size > MAX_PAYLOAD_BYTES:
        raise PayloadTooLarge(
            f"{name} takes {size} bytes, more than {MAX_PAYLOAD_BYTES}; put it into a file"
        )
    return encoded


def decode_payload(value: Any) -> Any:
    """The value that was given to :func:`encode_payload`; tuples have become lists."""
    match value:
        case dict():
            return {_restore(key): decode_payload(member) for key, member in value.items()}
        case list():
            return [decode_payload(member) for member in value]
        case _:
            return value


def _encode(value: Any, path: str, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise InvalidPayload(f"{path} is nested more than {_MAX_DEPTH} levels deep")
    match value:
        case None | bool() | float() | str() | bytes():
            return value
        case int():
            if value not in _INT64:
                raise InvalidPayload(f"{path} is an integer that does not fit into 64 bits")
            return value
        case datetime():
            if value.tzinfo is None:
                raise InvalidPayload(f"{path} is a datetime without a time zone")
            return value
        case dict():
            return {
                _escape(key, path): _encode(member, f"{path}.{key}", depth + 1)
                for key, member in value.items()
            }
        case list() | tuple():
            return [
                _encode(member, f"{path}[{index}]", depth + 1) for index, member in enumerate(value)
            ]
        case _:
            raise InvalidPayload(f"{path} is a {type(value).__name__}, which can't be stored")


def _escape(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise InvalidPayload(f"{path} has a key that is not a string: {key!r}")
    if "\0" in key:
        raise InvalidPayload(f"{path} has a key with a NUL character: {key!r}")
    return key.translate(_ESCAPES)


def _restore(key: str) -> str:
    if "%" not in key:
        return key
    # "%25" last: before that, "%2524" (which stands for "%24") would become "$".
    return key.replace("%2E", ".").replace("%24", "$").replace("%25", "%")

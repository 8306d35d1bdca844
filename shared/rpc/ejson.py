"""EJSON: JSON that also carries dates, bytes, regular expressions and custom types.

The wire forms, and the order in which they are tried, are those of Meteor's ``ejson``
package: a form counts only when the object has exactly its keys, so ``{"$date": 5,
"x": 1}`` is plain data. A plain dict that looks like a form travels in ``$escape``.

========================================  ==============================================
wire                                      Python
========================================  ==============================================
``{"$date": ms}``                         aware ``datetime`` in UTC
``{"$regexp": source, "$flags": flags}``  :class:`Regexp`
``{"$InfNaN": 1 | -1 | 0}``               ``inf``, ``-inf``, ``nan``
``{"$binary": base64}``                   ``bytes``
``{"$escape": {…}}``                      ``dict`` with these keys, taken literally
``{"$type": name, "$value": …}``          whatever the :class:`CustomType` makes of it
``{"$blob": index}``                      ``bytes`` that travel beside the text: one of
                                          the ``blobs``, where there can be any
========================================  ==============================================
"""

import base64
import binascii
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, TypeGuard
from uuid import UUID

import msgspec
import orjson

from shared.rpc.errors import EjsonError

UNDEFINED: Final = msgspec.UNSET
"""JavaScript's ``undefined``: a result that is not there, a field that is cleared."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_PLAIN = (
    orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
)
_FORMS = frozenset({"$date", "$InfNaN", "$binary", "$escape"})
_FORMS_WITH_BLOBS = _FORMS | {"$blob"}
_PAIRS = (frozenset({"$regexp", "$flags"}), frozenset({"$type", "$value"}))
_INFINITIES = {1: math.inf, -1: -math.inf, 0: math.nan}
_SCALARS = frozenset({str, int, float, bool, type(None), datetime, bytes})


class Regexp(msgspec.Struct, frozen=True):
    """A JavaScript regular expression, as data: its dialect is not Python's."""

    source: str
    flags: str = ""
    """Out of ``gimuy``, each at most once."""


class CustomType(msgspec.Struct, frozen=True):
    """How one Python type travels as ``{"$type": name, "$value": …}``."""

    name: str
    python_type: type
    to_json: Callable[[Any], Any]
    """From a value to something that EJSON can hold."""
    from_json: Callable[[Any], Any]
    """And back; raises ``ValueError`` or ``TypeError`` when it can't."""


class Ejson:
    """Reads and writes EJSON, with a fixed set of custom types."""

    def __init__(self, custom_types: Iterable[CustomType] = ()) -> None:
        self._by_name = {custom.name: custom for custom in custom_types}
        self._custom = tuple(self._by_name.values())

    def custom_type(self, name: str) -> CustomType | None:
        """The custom type of that name, if there is one."""
        return self._by_name.get(name)

    def loads(self, text: str | bytes, blobs: Sequence[bytes] | None = None) -> Any:
        """Read a value; with the ``blobs`` beside it, if the protocol has such.

        Raises:
            EjsonError: the text is not JSON, or a form in it holds nonsense.
        """
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise EjsonError(f"not JSON: {error}") from error
        return self.decode(value, blobs) if _may_hold_forms(text) else value

    def dumps(self, value: Any, blobs: list[bytes] | None = None) -> bytes:
        """Write a value; its bytes are added to ``blobs``, or are in base64 if that is None.

        Raises:
            EjsonError: it holds something that EJSON can't, such as a naive datetime.
        """
        try:
            text = orjson.dumps(value, option=_PLAIN)
        except TypeError:  # a date, bytes, …: what needs the longer way
            return self._dump(self.encode(value, blobs))
        # orjson writes NaN as null, and knows nothing of $escape
        if (b"$" in text and b'"$' in text) or b"null" in text:
            return self._dump(self.encode(value, blobs))
        return text

    def decode(self, value: Any, blobs: Sequence[bytes] | None = None) -> Any:
        """Turn the forms within a tree of plain JSON into Python values.

        Raises:
            EjsonError: a form holds nonsense, or the tree is too deep.
        """
        try:
            return self._decode(value, blobs)
        except RecursionError:
            raise EjsonError("nested too deeply") from None

    def encode(self, value: Any, blobs: list[bytes] | None = None) -> Any:
        """Turn a Python value into a tree of plain JSON.

        Raises:
            EjsonError: it holds something that EJSON can't, or is too deep.
        """
        try:
            return self._encode(value, blobs)
        except RecursionError:
            raise EjsonError("nested too deeply") from None

    def _dump(self, tree: Any) -> bytes:
        try:
            return orjson.dumps(tree, option=orjson.OPT_PASSTHROUGH_DATETIME)
        except TypeError as error:  # too deep, a lone surrogate, an integer over 64 bits
            raise EjsonError(str(error)) from error

    def _decode(self, value: Any, blobs: Sequence[bytes] | None) -> Any:
        if isinstance(value, dict):
            if len(value) == 1:
                ((key, inner),) = value.items()
                if key in (_FORMS if blobs is None else _FORMS_WITH_BLOBS):
                    return self._decode_form(key, inner, blobs)
            elif len(value) == 2 and value.keys() in _PAIRS:
                return self._decode_pair(value, blobs)
            return {key: self._decode(inner, blobs) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._decode(item, blobs) for item in value]
        return value

    def _decode_form(self, form: str, inner: Any, blobs: Sequence[bytes] | None) -> Any:
        if form == "$date":
            return _date(inner)
        if form == "$binary":
            return _binary(inner)
        if form == "$blob" and blobs is not None:
            return _blob(inner, blobs)
        if form == "$InfNaN":
            if _is_number(inner) and inner in _INFINITIES:
                return _INFINITIES[int(inner)]
            raise EjsonError(f"$InfNaN must be 1, -1 or 0, not {inner!r:.50}")
        if not isinstance(inner, dict):
            raise EjsonError("$escape must hold an object")
        return {key: self._decode(value, blobs) for key, value in inner.items()}

    def _decode_pair(self, value: dict[str, Any], blobs: Sequence[bytes] | None) -> Any:
        if "$regexp" in value:
            source, flags = value["$regexp"], value["$flags"]
            if not isinstance(source, str) or not isinstance(flags, str):
                raise EjsonError("$regexp and $flags must be strings")
            known = dict.fromkeys(flag for flag in flags[:50] if flag in "gimuy")
            return Regexp(source, "".join(known))
        name = value["$type"]
        custom = self._by_name.get(name) if isinstance(name, str) else None
        if custom is None:
            raise EjsonError(f"unknown $type {name!r:.50}")
        try:
            return custom.from_json(self._decode(value["$value"], blobs))
        except (ValueError, TypeError) as error:
            raise EjsonError(f"bad $value of $type {name!r}: {error}") from error

    def _encode(self, value: Any, blobs: list[bytes] | None) -> Any:
        if value is None or value is True or value is False or isinstance(value, (str, int)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"$InfNaN": _infinity_sign(value)}
        if isinstance(value, dict):
            return self._encode_dict(value, blobs)
        if isinstance(value, (list, tuple)):
            return [self._encode(item, blobs) for item in value]
        return self._encode_form(value, blobs)

    def _encode_dict(self, value: dict[Any, Any], blobs: list[bytes] | None) -> dict[str, Any]:
        encoded = {}
        for key, inner in value.items():
            if not isinstance(key, str):
                raise EjsonError(f"a key must be a string, not {key!r:.50}")
            if inner is not UNDEFINED:  # as JSON.stringify does
                encoded[key] = self._encode(inner, blobs)
        forms = _FORMS if blobs is None else _FORMS_WITH_BLOBS
        return {"$escape": encoded} if _looks_like(forms, encoded) else encoded

    def _encode_form(self, value: Any, blobs: list[bytes] | None) -> Any:
        for custom in self._custom:
            if isinstance(value, custom.python_type):
                inner = self._encode(custom.to_json(value), blobs)
                return {"$type": custom.name, "$value": inner}
        if isinstance(value, datetime):
            return {"$date": milliseconds(value)}
        if isinstance(value, (bytes, bytearray, memoryview)):
            if blobs is None:
                return {"$binary": base64.b64encode(value).decode("ascii")}
            blobs.append(bytes(value))  # the same object, if it is bytes
            return {"$blob": len(blobs) - 1}
        if isinstance(value, Regexp):
            return {"$regexp": value.source, "$flags": value.flags}
        if isinstance(value, (UUID, Enum)):  # as orjson writes them on the short way
            return str(value) if isinstance(value, UUID) else self._encode(value.value, blobs)
        raise EjsonError(f"EJSON can't hold a {type(value).__qualname__}")


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, rounded down; what EJSON keeps of a moment.

    Raises:
        EjsonError: the datetime is naive, so nobody knows which moment it is.
    """
    if moment.utcoffset() is None:
        raise EjsonError("a datetime without a time zone can't be written")
    return (moment - _EPOCH) // _MILLISECOND


def dumps_plain(value: Any) -> bytes:
    """Write a value as ``JSON.stringify`` does where DDP uses no EJSON.

    That is in the details of an error, and in the ``offendingMessage`` of one. Dates
    become ISO texts and infinities null; what JSON can't hold becomes a text.
    """
    try:
        return orjson.dumps(value, default=_plain, option=_PLAIN | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return orjson.dumps(repr(value)[:1000].encode("ascii", "backslashreplace").decode())


def equals(a: Any, b: Any) -> bool:
    """Whether two values are the same to EJSON: NaN is NaN, and True is not 1."""
    if a is b:
        return True
    if isinstance(a, bool) or isinstance(b, bool):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equals(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(equals, a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return True
    return bool(a == b)


def clone(value: Any) -> Any:
    """A copy that shares nothing that could be changed in place."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, dict):
        return {key: clone(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [clone(item) for item in value]
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return value


def _may_hold_forms(text: str | bytes) -> bool:
    # one character is found fifty times as fast as two, and is mostly not there
    if isinstance(text, str):
        return ("$" in text and '"$' in text) or ("\\" in text and '"\\u0024' in text)
    return (b"$" in text and b'"$' in text) or (b"\\" in text and b'"\\u0024' in text)


def _looks_like(forms: frozenset[str], value: dict[str, Any]) -> bool:
    if len(value) == 1:
        return next(iter(value)) in forms
    return len(value) == 2 and value.keys() in _PAIRS


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _date(inner: Any) -> datetime:
    if not _is_number(inner):
        raise EjsonError(f"$date must be a number, not {inner!r:.50}")
    try:
        return _EPOCH + int(inner) * _MILLISECOND
    except OverflowError:
        raise EjsonError(f"$date {inner!r} is outside the years 1 to 9999") from None


def _binary(inner: Any) -> bytes:
    if not isinstance(inner, str):
        raise EjsonError("$binary must be a string")
    try:
        return base64.b64decode(inner, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EjsonError(f"$binary is not base64: {error}") from error


def _blob(inner: Any, blobs: Sequence[bytes]) -> bytes:
    if type(inner) is not int or not 0 <= inner < len(blobs):
        raise EjsonError(f"$blob {inner!r:.50} is none of {len(blobs)} blobs")
    return blobs[inner]


def _infinity_sign(value: float) -> int:
    if math.isnan(value):
        return 0
    return 1 if value > 0 else -1


def _plain(value: Any) -> Any:
    if isinstance(value, datetime) and value.utcoffset() is not None:
        moment = value.astimezone(UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, bytes):
        return {str(index): byte for index, byte in enumerate(value)}
    return str(value)

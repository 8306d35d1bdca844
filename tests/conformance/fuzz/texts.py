"""Target ``texts``: what reads texts agrees with JSON, and never fails in any other way."""

import json
import math
from typing import Any, Final

import msgspec

from shared.rpc import ejson
from shared.rpc.ddp import messages as m
from shared.rpc.ddp.ids import DocumentIds
from shared.rpc.ejson import Ejson
from shared.rpc.errors import EjsonError
from shared.rpc.object_id import OBJECT_ID
from tests.conformance.fuzz.corpus import EJSON, FROM_CLIENT, FROM_SERVER

SEEDS: Final = [*FROM_CLIENT, *FROM_SERVER, *EJSON, b"~5", b'~"x"', b"-~5", b"-"]
LINES: Final = SEEDS

_ejson = Ejson([OBJECT_ID])
_ids = DocumentIds(_ejson)
_DEEP = 100
"""From here on, whoever reads or writes may say that it is too deep."""
_CLIENT_TEXTS: Final = {"method": ("id", "method"), "sub": ("id", "name"), "unsub": ("id",)}


def check(data: bytes) -> None:
    """Read ``data`` in every way there is.

    Raises:
        AssertionError: the readers don't agree, or what was read is not what is written.
    """
    value = _plain_json(data)
    text = _text(data)
    _check_client_s(text, value)
    _check_ejson(text)
    if isinstance(text, str):  # a client ignores binary messages
        _check_server_s(text)
        _check_id(text)


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _check_client_s(text: str | bytes, value: Any) -> None:
    m.offending(text)
    try:
        sent = m.decode_from_client(text)
    except m.Unreadable:
        assert value is _UNCLEAR or not _is_from_client(value), "a client's message is refused"
    else:
        assert value is _UNCLEAR or _is_from_client(value), "no client's message is accepted"
        assert m.decode_from_client(m.encode(sent)) == sent


def _check_server_s(text: str) -> None:
    try:
        received = m.decode_from_server(text)
    except m.Unreadable:
        return
    assert m.decode_from_server(m.encode(received)) == received
    if isinstance(received, (m.Result, m.NoSub)) and isinstance(received.error, msgspec.Raw):
        m.encode_error(m.decode_error(received.error))


def _check_ejson(text: str | bytes) -> None:
    try:
        value = _ejson.loads(text)
    except EjsonError:
        return
    ejson.dumps_plain(value)
    try:
        written = _ejson.dumps(value)
    except EjsonError:
        assert _depth(value) > _DEEP, "what was read can't be written"
        return
    again = _ejson.loads(written)
    assert ejson.equals(value, again), "what was written reads differently"
    assert _ejson.dumps(again) == written
    assert ejson.equals(value, ejson.clone(value))


def _check_id(text: str) -> None:
    try:
        document_id = _ids.from_wire(text)
    except EjsonError:
        return
    assert _ids.from_wire(_ids.to_wire(document_id)) == document_id or document_id != document_id


_UNCLEAR: Final = object()
"""JSON of which readers may make different things: too deep, a key twice, half a surrogate."""


def _plain_json(data: bytes) -> Any:
    """The value of a text that means the same to everybody, None for no JSON at all."""
    if data.count(b"[") + data.count(b"{") > _DEEP or b"\\ud" in data.lower():
        return _UNCLEAR
    try:
        text = data.decode()
    except UnicodeDecodeError:  # of what nobody looks into, nobody knows
        return _UNCLEAR
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
    except _Twice:
        return _UNCLEAR
    except ValueError:
        return None


class _Twice(Exception):
    """An object has the same key twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Twice
    for value in found.values():
        if isinstance(value, float) and math.isinf(value):  # 1e999
            raise _Twice
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _is_from_client(value: Any) -> bool:
    """What ``docs/reference`` says of a client's messages, written down once more."""
    if not isinstance(value, dict):
        return False
    kind = value.get("msg")
    if not isinstance(kind, str):
        return False
    if kind in ("connect", "ping", "pong", "disconnect"):
        return True
    if kind not in _CLIENT_TEXTS:
        return False
    seed = value.get("randomSeed", "")
    if kind == "method" and not isinstance(seed, str):
        return False
    return all(isinstance(value.get(name), str) for name in _CLIENT_TEXTS[kind])


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0

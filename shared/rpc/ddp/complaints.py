"""What a server says to texts that make no sense; the connection lives on."""

from typing import Final

from msgspec import UNSET

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.nesting import is_nested_deeper

BAD_REQUEST: Final = "Bad request"
MUST_CONNECT: Final = "Must connect first"

MALFORMED: Final = {
    "method": "Malformed method invocation",
    "sub": "Malformed subscription",
    "unsub": "Malformed unsubscription",
}
"""By the ``msg`` that the text claims to be."""


def complaint(reason: str, text: str | bytes) -> bytes:
    """The ``error`` that sends a text back; must not be nested too deeply."""
    found = m.offending(text)
    return m.encode(m.Error(reason, UNSET if found is None else found[1]))


def kind_of(text: str | bytes, max_depth: int) -> str | None:
    """The ``msg`` of an unreadable text; empty if it has none, None if it is no object."""
    found = None if is_nested_deeper(text, max_depth) else m.offending(text)
    if found is None:
        return None
    value = found[0]
    kind = value.get("msg") if isinstance(value, dict) else None
    return str(kind) if kind else ""

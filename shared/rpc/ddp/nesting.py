"""How deep a JSON text is nested, told before anything that recurses gets hold of it."""

import re

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""A text without its closing quote goes to the end, else each quote in it would be tried."""
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))


def is_nested_deeper(text: str | bytes, limit: int) -> bool:
    """Whether arrays and objects stand within each other more than ``limit`` deep.

    For broken JSON the answer may be either. Nearly every text is told by its length, or
    by two counts; the rest costs about what parsing does.
    """
    if len(text) <= limit or _opening(text) <= limit:
        return False
    data = text.encode(errors="replace") if isinstance(text, str) else text
    brackets = _STRING.sub(b"", data).translate(_TO_SQUARE, _NO_BRACKETS)
    for _ in range(limit):  # each pass takes away the innermost level
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    return bool(brackets)


def _opening(text: str | bytes) -> int:
    if isinstance(text, str):
        return text.count("[") + text.count("{")
    return text.count(b"[") + text.count(b"{")

"""Inputs as scripts: one step per line, its first byte says which, the rest is its text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, TypeVar

from shared.rpc.ejson import UNDEFINED
from tests.conformance.fuzz.mutation import MAX_LINES

Item = TypeVar("Item")

VALUES: Final[Sequence[Any]] = (
    *(1, 2, "x", None, True, 0.5, [1], {"a": 1}, {"$date": 5}, b"ab", float("nan"), float("inf")),
    *(UNDEFINED, object()),
)
"""For fields and results; the last one can't be written."""
FIELDS: Final = ("n", "m", "_id", "at")
DOCUMENT_IDS: Final = ("a", "b", "-c", "aabbccddeeff001122334455")


class Step:
    """One line; asking for numbers takes its bytes one by one, and zeros after the last."""

    def __init__(self, line: bytes) -> None:
        self.rest = line[1:]
        self._at = 0

    @property
    def text(self) -> str | bytes:
        """The rest as a message; what is not UTF-8 came in a binary one."""
        try:
            return self.rest.decode()
        except UnicodeDecodeError:
            return self.rest

    def number(self) -> int:
        self._at += 1
        return self.rest[self._at - 1] if self._at <= len(self.rest) else 0

    def one_of(self, items: Sequence[Item]) -> Item:
        """One of several, of which there must be one."""
        return items[self.number() % len(items)]

    def fields(self) -> dict[str, Any]:
        """No field, or some."""
        return {self.one_of(FIELDS): self.one_of(VALUES) for _ in range(self.number() % 4)}

    def seconds(self) -> float:
        return self.number() / 4


def drawn_lines(letters: bytes, count: int) -> list[bytes]:
    """So many steps of these kinds, with numbers drawn at random, always the same."""
    random = Random(count)
    return [
        bytes([letters[number % len(letters)], *(random.randrange(11, 123) for _ in range(9))])
        for number in range(count)
    ]


Steps = Mapping[int, Callable[[Any, Step], None]]


def steps_of(data: bytes, known: Steps) -> Iterator[tuple[Callable[[Any, Step], None], Step]]:
    """The steps of an input that mean anything."""
    for line in data.split(b"\n")[:MAX_LINES]:
        if line and (step := known.get(line[0])) is not None:
            yield step, Step(line)

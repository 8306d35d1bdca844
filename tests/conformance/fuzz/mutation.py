"""Changes inputs at random, knowing that they are lines of JSON."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from tests.conformance.fuzz.corpus import EJSON, WORDS

MAX_LINES: Final = 60

_VALUES: Final[Sequence[Any]] = (
    *(None, True, 0, -1, 1.5, 2**53 + 1, -(2**63), "", "1", "a", "items", "echo", "\x00", [], {}),
    *({"$date": 5}, {"$date": None}, {"$escape": 5}, {"$type": [], "$value": {}}, [[[[]]]]),
    *("~5", "~[1]", "-", "aabbccddeeff001122334455", "pre1", ["1"], {"msg": "ping"}, "\u2028"),
)


class Mutator:
    """Makes new inputs from old ones, the same ones from the same seed."""

    def __init__(self, seed: int, lines: Sequence[bytes], max_bytes: int) -> None:
        """``lines`` are what to draw from when a line is to be added."""
        self._random = Random(seed)
        self._lines = lines
        self._max_bytes = max_bytes

    def made_from(self, data: bytes, seed: int | None = None) -> bytes:
        """``data``, changed in one or several places."""
        if seed is not None:
            self._random.seed(seed)
        random = self._random
        lines = data.split(b"\n")
        for _ in range(1 + int(random.expovariate(0.7))):
            random.choice(_LINE_CHANGES)(self, lines)
        return b"\n".join(lines[:MAX_LINES])[: self._max_bytes]

    # Of the lines

    def _insert(self, lines: list[bytes]) -> None:
        lines.insert(self._random.randint(0, len(lines)), self._random.choice(self._lines))

    def _repeat(self, lines: list[bytes]) -> None:
        line = self._random.choice(lines)
        lines.insert(self._random.randint(0, len(lines)), line)

    def _remove(self, lines: list[bytes]) -> None:
        if len(lines) > 1:
            del lines[self._random.randrange(len(lines))]

    def _swap(self, lines: list[bytes]) -> None:
        one, other = (self._random.randrange(len(lines)) for _ in range(2))
        lines[one], lines[other] = lines[other], lines[one]

    def _change(self, lines: list[bytes]) -> None:
        at = self._random.randrange(len(lines))
        lines[at] = self._random.choice(_TEXT_CHANGES)(self, lines[at])

    # Of one line

    def _change_json(self, line: bytes) -> bytes:
        """Another value, a field less or one more, somewhere in the tree."""
        start = line.find(b"{")
        try:
            tree = json.loads(line[start:]) if start >= 0 else None
        except (ValueError, RecursionError):
            tree = None
        if not isinstance(tree, dict):
            return self._change_bytes(line)
        self._change_tree(tree)
        return line[:start] + json.dumps(tree, separators=(",", ":")).encode()

    def _change_tree(self, tree: Any) -> None:
        random = self._random
        while True:
            keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
            if not keys:
                return
            key = random.choice(keys)
            if isinstance(tree[key], (dict, list)) and random.random() < 0.6:
                tree = tree[key]
                continue
            break
        kind = random.random()
        if kind < 0.2:
            del tree[key]
        elif kind < 0.4:
            tree[key] = [tree[key]] * random.randint(0, 3)
        elif kind < 0.5:
            tree[key] = json.loads(random.choice(EJSON))
        else:
            tree[key] = random.choice(_VALUES)

    def _change_bytes(self, line: bytes) -> bytes:
        at = self._random.randint(0, len(line))
        kept = at + self._random.choice((0, 0, 1, 1, 2, 8))
        new = bytes(self._random.randrange(256) for _ in range(self._random.randint(0, 2)))
        return (line[:at] + new + line[kept:]).replace(b"\n", b" ")

    def _insert_word(self, line: bytes) -> bytes:
        at = self._random.randint(0, len(line))
        word = self._random.choice(WORDS)
        over = self._random.choice((0, 0, len(word)))
        return line[:at] + word + line[at + over :]

    def _nest(self, line: bytes) -> bytes:
        """Far too deep, somewhere."""
        at = self._random.randint(0, len(line))
        deep = self._random.choice((20, 200, 2000))
        opening, closing = self._random.choice(((b"[", b"]"), (b'{"a":', b"}")))
        return line[:at] + opening * deep + b"1" + closing * deep + line[at:]

    def _cut(self, line: bytes) -> bytes:
        return line[: self._random.randint(0, len(line))]


_LINE_CHANGES: Final[Sequence[Callable[[Mutator, list[bytes]], None]]] = (
    *(Mutator._insert, Mutator._insert, Mutator._repeat, Mutator._remove, Mutator._swap),
    *(Mutator._change, Mutator._change, Mutator._change),
)
_TEXT_CHANGES: Final[Sequence[Callable[[Mutator, bytes], bytes]]] = (
    *(Mutator._change_json, Mutator._change_json, Mutator._change_json, Mutator._change_bytes),
    *(Mutator._change_bytes, Mutator._insert_word, Mutator._insert_word, Mutator._cut),
    Mutator._nest,
)

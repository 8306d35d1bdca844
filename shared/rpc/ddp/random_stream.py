"""Random streams: ids that a client and a server make up alike, from the same seed.

The generator is Johannes Baagøe's Alea, seeded as Meteor's ``random`` and ``ddp-common``
packages do. It must never make anything that has to be a secret.
"""

from collections.abc import Sequence

ID_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz"
"""No characters that people mistake for one another."""

_HEX = "0123456789abcdef"
_ID_LENGTH = 17
_2_TO_32 = 0x1_0000_0000
_2_TO_MINUS_32 = 2.3283064365386963e-10


class RandomStream:
    """One sequence of numbers and ids, always the same for the same seeds."""

    def __init__(self, seeds: Sequence[str]) -> None:
        mash = _Mash()
        state = [mash(" ") for _ in range(3)]
        for seed in seeds:
            for index in range(3):
                state[index] -= mash(seed)
                if state[index] < 0:
                    state[index] += 1
        self._state = state
        self._carry = 1

    def fraction(self) -> float:
        """A number from 0 up to, but not including, 1."""
        first, second, third = self._state
        product = 2_091_639 * first + self._carry * _2_TO_MINUS_32
        self._carry = int(product)
        last = product - self._carry
        self._state = [second, third, last]
        return last

    def id(self, length: int = _ID_LENGTH) -> str:
        """An id as those of Meteor's documents."""
        return self._string(ID_ALPHABET, length)

    def hex_string(self, digits: int) -> str:
        """So many hexadecimal digits."""
        return self._string(_HEX, digits)

    def _string(self, alphabet: str, length: int) -> str:
        return "".join(alphabet[int(self.fraction() * len(alphabet))] for _ in range(length))


class RandomStreams:
    """The streams of one method call, by name; each goes on where it was left."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._streams: dict[str, RandomStream] = {}

    def stream(self, name: str) -> RandomStream:
        """The stream of that name."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = RandomStream([self._seed, name])
        return stream


class _Mash:
    """Alea's hash: each call depends on all before. Numbers are doubles, as in JavaScript."""

    def __init__(self) -> None:
        self._n = float(0xEFC8249D)

    def __call__(self, text: str) -> float:
        units = text.encode("utf-16-le", "surrogatepass")
        for low, high in zip(units[::2], units[1::2], strict=True):
            self._n += low | high << 8
            h = 0.02519603282416938 * self._n
            self._n = float(int(h) % _2_TO_32)
            h = (h - self._n) * self._n
            self._n = float(int(h) % _2_TO_32)
            self._n += (h - self._n) * _2_TO_32
        return (int(self._n) % _2_TO_32) * _2_TO_MINUS_32

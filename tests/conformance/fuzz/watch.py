"""What is measured of a run of one target, where another process can read it."""

import mmap
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

_FORM: Final = struct.Struct("=6q")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_WARM_UP: Final = 2_000
_EVERY: Final = 1_000


class Figures(msgspec.Struct):
    """Of one run so far; bytes and nanoseconds."""

    inputs: int = 0
    longest: int = 0
    slowest: int = 0
    first_memory: int = 0
    peak_memory: int = 0
    crashes: int = 0

    @property
    def growth(self) -> int:
        """Bytes of memory more than after the first inputs."""
        return max(0, self.peak_memory - self.first_memory)


class Watch:
    """Lets a target check inputs, and keeps the figures in a file all the while."""

    def __init__(self, check: Callable[[bytes], None], file: Path, crashes: Path) -> None:
        """``crashes`` is the folder for inputs that break a rule."""
        file.write_bytes(bytes(_FORM.size))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _FORM.size)
        self._check = check
        self._crashes = crashes
        self.figures = Figures()

    def check(self, data: bytes) -> None:
        """Check one input; one that breaks a rule is kept.

        Raises:
            AssertionError: it does; or whatever else the target raised.
        """
        figures = self.figures
        began = time.perf_counter_ns()
        try:
            self._check(data)
        except BaseException:
            figures.crashes += 1
            self._keep(data)
            raise
        finally:
            figures.slowest = max(figures.slowest, time.perf_counter_ns() - began)
            figures.inputs += 1
            figures.longest = max(figures.longest, len(data))
            if figures.inputs <= _WARM_UP:
                figures.first_memory = figures.peak_memory = _memory()
            elif figures.inputs % _EVERY == 0:
                figures.peak_memory = max(figures.peak_memory, _memory())
            _FORM.pack_into(self._shared, 0, *msgspec.structs.astuple(figures))

    def _keep(self, data: bytes) -> None:
        self._crashes.mkdir(parents=True, exist_ok=True)
        (self._crashes / f"input-{len(data)}-{zlib.crc32(data):08x}").write_bytes(data)


def read(file: Path) -> Figures:
    """The figures of a run, also of one that came to a bad end."""
    return Figures(*_FORM.unpack(file.read_bytes()))


def _memory() -> int:
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE

"""What the supervisor prints: its own lines, and those of each process behind its name."""

import os
import sys
from typing import BinaryIO

_COLOURS = {"web": 36, "jobs": 35, "seed": 34, "tandem": 32}
_LONGEST_LINE = 1 << 16


class Output:
    """Whole lines to standard output; one that nobody reads any more is no error."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream or sys.stdout.buffer
        self._coloured = self._stream.isatty() and not os.environ.get("NO_COLOR")

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at it."""
        return self._stream.isatty()

    def say(self, text: str) -> None:
        """Print a line, or several, of the supervisor's own."""
        self._write(text.encode() + b"\n")

    def line(self, name: str, line: bytes) -> None:
        """Print one line of the process ``name``."""
        self._write(self._prefix(name) + line.rstrip(b"\r\n") + b"\n")

    def _prefix(self, name: str) -> bytes:
        text = f"{name:<4} | "
        if self._coloured:
            text = f"\x1b[{_COLOURS.get(name, 0)}m{text}\x1b[0m"
        return text.encode()

    def _write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
            self._stream.flush()
        except OSError:  # the terminal or the reader is gone; the services run on
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


class Lines:
    """Cuts a stream of bytes into lines, and lines that are too long into pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return lines

    def rest(self) -> list[bytes]:
        """What is left of a last line without an end."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []

"""The stdout and stderr of a child: descriptor 2, and a print that never fails."""

import contextlib
import io
from typing import Any

from typing_extensions import override

from jobs_service import memfd


class _Stderr(io.RawIOBase):
    """Descriptor 2, for prints that must never fail a run: what can't be written is lost."""

    @override
    def writable(self) -> bool:
        return True

    @override
    def fileno(self) -> int:
        return 2

    @override
    def write(self, data: Any) -> int:
        size = len(data)
        with contextlib.suppress(OSError):  # nobody reads the service's stderr any more
            memfd.write(2, data)
        return size


def stderr_stream() -> io.TextIOWrapper:
    """A text stream for a child's stdout and stderr, written line by line."""
    return io.TextIOWrapper(
        io.BufferedWriter(_Stderr()),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )

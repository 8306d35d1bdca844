"""Remembers what a set-up step was done for, so that it is done again only after a change."""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.environment.console import say


def digest(files: Iterable[Path], *others: str) -> str:
    """A hash over names and contents of ``files``, and over ``others``."""
    total = hashlib.sha256()
    for file in sorted(files):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{file.name} {content}\n".encode())
    total.update("\n".join(others).encode())
    return total.hexdigest()


def is_current(stamp: Path, value: str) -> bool:
    """Whether ``stamp`` was written with this very ``value``."""
    try:
        return stamp.read_text() == value
    except OSError:
        return False


def write(stamp: Path, value: str) -> None:
    """Write ``stamp``, whole or not at all."""
    new = stamp.with_name(f"{stamp.name}.{os.getpid()}")
    new.write_text(value)
    new.replace(stamp)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a lock on ``folder`` (no file is written), waiting for another set-up to finish."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("==> Waiting for another set-up of this directory to finish")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

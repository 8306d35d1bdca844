"""What the set-up tells the person who waits for it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class SetupError(Exception):
    """The set-up can't go on; the message says what to do about it."""


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce what begins, and how long it took once it is done."""
    say(f"==> {title}")
    began = time.monotonic()
    yield
    say(f"    done in {time.monotonic() - began:.1f} s")


def run(
    command: Sequence[str | Path],
    *,
    remedy: str,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Run a tool with its own output visible.

    Raises:
        SetupError: it failed or isn't there; the message ends with ``remedy``.
    """
    shown = " ".join(str(part) for part in command)
    try:
        code = subprocess.run(
            command, cwd=cwd, env=dict(environ or os.environ), stdin=subprocess.DEVNULL, check=False
        ).returncode
    except OSError as error:
        raise SetupError(f"{shown}: {error.strerror}. {remedy}") from None
    if code:
        raise SetupError(f"{shown} failed with status {code}. {remedy}")


def warn(text: str) -> None:
    """Print a line to standard error at once."""
    print(text, file=sys.stderr, flush=True)

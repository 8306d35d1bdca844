"""What the pool is asked for and what it answers: plain values, no behaviour.

Errors: a run that did not finish raises :class:`RunFailed`, whatever the reason, with a
``kind`` that says whose fault it was. :class:`PoolError` means that the pool itself can't
start, and is raised only by entering it.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from jobs_service.job import Input

FailureKind = Literal["failed", "discarded", "crashed", "time-limit", "memory-limit"]
"""failed: the function raised. discarded: it said that it can never work. crashed: its child
died. The limits: its child was killed for passing one."""


class PoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How many children, and what they know before they are forked."""

    slots: int
    """How many runs at once."""
    spares: int = 1
    """Warm children beyond the slots: a killed child's slot is usable at once."""
    packages: tuple[str, ...]
    """Packages (or modules) whose jobs the children can run."""
    preload: tuple[str, ...] = ()
    """Other modules that the zygote imports once for all. They must start no thread."""
    environment: Mapping[str, str] = {}
    """All that children see of the environment, besides PATH, LANG and PYTHONPATH."""
    nice: int = 15
    """10 to 19: how far all other processes go before the children when a core is contended;
    0: not at all."""
    start_seconds: float = 30.0
    """How long the zygote's imports, and later the start of one child, may take."""
    exit_seconds: float = 0.1
    """How long a dead child's caller waits at most to hear how it died. Its slot is free."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job type."""

    job: str
    """The job type's name."""
    params: bytes
    """Its contract, as msgpack."""
    run_id: str
    time_limit: float
    """Seconds of wall clock from the moment a child has it; then the child is killed."""
    files_seed: bytes
    """Nine bytes that no other run has: the ids of its outputs begin with them."""
    inputs: tuple[Input, ...] = ()
    """Sealed memfds; they stay the caller's, and may be used by several runs at once."""
    attempt: int = 1
    database_url: str = ""
    urgent: bool = True
    """Whether it goes before the ones that are not."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a run cost."""

    pid: int
    """Of its child; 0 when it never had one."""
    seconds: float = 0.0
    """Wall clock."""
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    """The child's largest resident set during the run, what it shares with others included."""


class OutputFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a run made: a sealed memfd, which now belongs to the caller."""

    id: str
    fd: int
    filename: str
    content_type: str
    size: int


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A run whose function returned."""

    value: bytes
    """What it returned, as msgpack; not checked against the contract."""
    outputs: tuple[OutputFile, ...]
    """Whoever awaited the run closes their descriptors."""
    usage: Usage


class RunFailed(Exception):
    """A run that ended without a result."""

    def __init__(
        self,
        kind: FailureKind,
        code: str,
        message: str,
        traceback: str = "",
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind
        self.code = code
        """A short name for programs: ``"crashed"``, or the exception's class."""
        self.message = message
        self.traceback = traceback
        """Of the job function, without the pool's own frames; empty when nothing was raised."""
        self.usage = usage
        """None when no child ever had it."""


class PoolError(Exception):
    """The pool can't start: a package can't be imported, or a preload started a thread."""

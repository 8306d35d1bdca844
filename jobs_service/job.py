"""What a job function sees: the ``@job`` decorator, its ``Run``, and how to give up.

A plain ``def`` runs in a child process of the pool; an ``async def`` runs on the event
loop of the jobs service. This module is imported in both, so it knows neither.
"""

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from jobs_service import memfd
from shared.contracts.contract import Contract, members_of

Function = TypeVar("Function", bound=Callable[..., Any])

_PROGRESS_INTERVAL_SECONDS = 0.05


class Job(NamedTuple):
    """A contract and the function that fulfils it."""

    contract: type[Contract[Any]]
    function: Callable[..., Any]
    on_loop: bool
    """Whether it is a coroutine function, which runs on the event loop."""

    @property
    def name(self) -> str:
        return self.contract.policy.name


def job(contract: type[Contract[Any]]) -> Callable[[Callable[..., Any]], Job]:
    """Say that the decorated function fulfils ``contract``."""
    return lambda function: Job(contract, function, inspect.iscoroutinefunction(function))


def jobs_in(packages: Iterable[str]) -> dict[str, Job]:
    """Collect the jobs that the modules of ``packages`` define, by name.

    Raises:
        ValueError: two functions fulfil one job type.
    """
    found: dict[str, Job] = {}
    for value in members_of(packages):
        if not isinstance(value, Job):
            continue
        if found.setdefault(value.name, value) != value:
            raise ValueError(f"two functions fulfil {value.name!r}")
    return found


class Discard(Exception):
    """Raised by a job function: this can never work, so don't try again.

    ``code`` is for programs (``"bad-image"``), ``reason`` for the person who asked: what
    happened and what to do about it. Both reach them as they are.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a run is; ``total`` is None while nobody knows."""

    done: float
    total: float | None = None
    note: str = ""


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was handed to a run: a sealed memfd and what it is called."""

    id: str
    fd: int
    filename: str
    content_type: str
    size: int

    def read(self) -> bytes:
        """All of its bytes."""
        return memfd.read(self.fd)


class Output:
    """A file that a run makes: write to it, or hand its descriptor to a library."""

    def __init__(self, file_id: str, filename: str, content_type: str) -> None:
        self.id = file_id
        self.filename = filename
        self.content_type = content_type
        self.fd = memfd.create("output")

    def fileno(self) -> int:
        return self.fd

    def write(self, data: bytes | memoryview) -> int:
        memfd.write(self.fd, data)
        return len(data)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return memfd.size(self.fd)


class Run:
    """One run of a job function: its inputs, its outputs, and the way to say how far it is."""

    def __init__(
        self,
        *,
        run_id: str,
        attempt: int,
        files_seed: bytes,
        inputs: Mapping[str, Input],
        report: Callable[[Progress], None],
        database_url: str = "",
    ) -> None:
        self.id = run_id
        self.attempt = attempt
        """1 for the first try; always 1 for a call."""
        self.inputs = inputs
        self.outputs: list[Output] = []
        self.database_url = database_url
        """Where the database is, database name included; only for ``database=True``."""
        self._files_seed = files_seed
        self._report = report
        self._reported_at = float("-inf")

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far this run is. Cheap: all but a few a second are dropped here."""
        now = time.monotonic()
        finished = total is not None and done >= total
        if finished or now - self._reported_at >= _PROGRESS_INTERVAL_SECONDS:
            self._reported_at = now
            self._report(Progress(done, total, note))

    def input(self, file_id: str) -> Input:
        """The file that a parameter of type ``FileId`` names."""
        return self.inputs[file_id]

    def output(self, filename: str, content_type: str) -> Output:
        """A new, empty file, stored for the run's owner when the function returns.

        Its id is final at once: the service gave the run a seed that no other run has,
        and output n is stored under seed + n, whatever the child says.
        """
        file_id = output_id(self._files_seed, len(self.outputs))
        output = Output(file_id, filename, content_type)
        self.outputs.append(output)
        return output

    def close(self) -> None:
        """Close every descriptor that this run holds, but for those the function closed."""
        for fd in [i.fd for i in self.inputs.values()] + [o.fd for o in self.outputs]:
            memfd.close(fd)


def output_id(files_seed: bytes, index: int) -> str:
    """The id of a run's output: nine bytes of seed, three of its number, in hex."""
    return (files_seed + index.to_bytes(3, "big")).hex()

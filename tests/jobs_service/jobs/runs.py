"""Run a job function as the pool does, with real memfds, but in this process."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jobs_service import memfd
from jobs_service.job import Input, Progress, Run, output_id

FILE = "f" * 24
SEED = bytes(range(9))
FIRST_OUTPUT = output_id(SEED, 0)


@contextmanager
def running(
    files: Mapping[str, tuple[str, bytes]] | None = None, database_url: str = ""
) -> Iterator[tuple[Run, list[Progress]]]:
    """A run with ``files`` (filename and bytes, by id), and the progress that it reports."""
    progress: list[Progress] = []
    inputs = {
        id: Input(
            id=id,
            fd=memfd.create_with("input", data),
            filename=filename,
            content_type="application/octet-stream",
            size=len(data),
        )
        for id, (filename, data) in (files or {}).items()
    }
    run = Run(
        run_id="run",
        attempt=1,
        files_seed=SEED,
        inputs=inputs,
        report=progress.append,
        database_url=database_url,
    )
    try:
        yield run, progress
    finally:
        run.close()


def contents(run: Run) -> list[Any]:
    """The bytes of each output."""
    return [memfd.read(output.fd) for output in run.outputs]

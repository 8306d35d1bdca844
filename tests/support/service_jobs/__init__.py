"""Jobs for the tests of the executor and the runner: some on the loop, some in a child."""

import asyncio
from typing import Any

from jobs_service.job import Discard, Run, job
from shared.contracts.contract import Contract
from shared.contracts.files import FileId, FileResult


class Double(Contract[int], name="test.double", timeout=5):
    number: int


@job(Double)
async def double(params: Double, run: Run) -> int:
    run.progress(1, 1, "nearly")
    return params.number * 2


class Wait(Contract[None], name="test.wait", timeout=0.05):
    """Longer than it may take."""


@job(Wait)
async def wait(params: Wait, run: Run) -> None:
    await asyncio.Event().wait()


class Forever(Contract[None], name="test.forever"):
    """Until it is stopped."""


@job(Forever)
async def forever(params: Forever, run: Run) -> None:
    await asyncio.Event().wait()


class Fail(Contract[None], name="test.fail", max_attempts=3, backoff=0.01):
    how: str


@job(Fail)
async def fail(params: Fail, run: Run) -> None:
    match params.how:
        case "discard":
            raise Discard("not-today", "Come back tomorrow.")
        case "timeout":
            raise TimeoutError("of something inside")
        case "once" if run.attempt > 1:
            return
    raise LookupError(f"attempt {run.attempt}")


class Copy(Contract[FileResult], name="test.copy"):
    source: FileId


@job(Copy)
def copy(params: Copy, run: Run) -> FileResult:
    source = run.input(params.source)
    output = run.output(f"copy of {source.filename}", source.content_type)
    output.write(source.read())
    return FileResult(
        id=output.id,
        filename=output.filename,
        content_type=output.content_type,
        size=output.size,
    )


class Lie(Contract[int], name="test.lie"):
    """Returns what its contract does not allow."""


@job(Lie)
def lie(params: Lie, run: Run) -> Any:
    run.output("left.txt", "text/plain").write(b"over")
    return "no number"

"""Checks what a child sent along with a result, for it is not trusted; makes it the caller's."""

from collections.abc import Sequence
from typing import NamedTuple

from jobs_service import memfd
from jobs_service.job import output_id
from jobs_service.pool import payload, wire
from jobs_service.pool.work import Finished, OutputFile, Usage, Work


class Returned(NamedTuple):
    """A child's answer, with the descriptors that came with it."""

    pid: int
    message: wire.Returned
    fds: list[int]


def usage_of(pid: int, cost: wire.Cost) -> Usage:
    """A run's cost, as its child measured it."""
    return Usage(
        pid=pid,
        seconds=cost.seconds,
        cpu_seconds=cost.cpu_seconds,
        peak_bytes=cost.peak_bytes,
    )


def check(message: wire.Returned, fds: Sequence[int]) -> None:
    """Make sure that the descriptors are what the message says, and can't change any more.

    Raises:
        WireError: they are not; the child must not be given another run.
    """
    expected = len(message.outputs) + (message.value is None)
    if len(fds) != expected:
        raise wire.WireError(f"{len(fds)} descriptors where {expected} were announced")
    for fd in fds:
        wire.check_sealed(fd)


async def finished(work: Work, returned: Returned) -> Finished:
    """The result of ``work``, from a checked answer; its descriptors become the caller's."""
    pid, message, fds = returned
    value = message.value
    if value is None:
        try:
            value = await payload.drain(fds.pop(0))
        except BaseException:
            wire.close_all(fds)
            raise
    pairs = enumerate(zip(message.outputs, fds, strict=True))
    outputs = tuple([_output(work, n, info, fd) for n, (info, fd) in pairs])
    return Finished(value=value, outputs=outputs, usage=usage_of(pid, message.cost))


def _output(work: Work, index: int, info: wire.FileInfo, fd: int) -> OutputFile:
    return OutputFile(
        id=output_id(work.files_seed, index),
        fd=fd,
        filename=info.filename,
        content_type=info.content_type,
        size=memfd.size(fd),
    )

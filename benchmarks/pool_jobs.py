"""The two jobs of the pool's benchmark, also as the plain functions that other pools take."""

from jobs_service.job import Run, job
from shared.contracts.contract import Contract


class Echo(Contract[bytes], name="bench.echo"):
    """Returns its bytes."""

    value: bytes = b""


@job(Echo)
def echo(params: Echo, run: Run) -> bytes:  # noqa: ARG001 - every job takes a run
    return params.value


class Spin(Contract[None], name="bench.spin"):
    """Never ends."""


@job(Spin)
def spin(params: Spin, run: Run) -> None:  # noqa: ARG001 - every job takes a run
    while True:
        pass


def plain_echo(value: bytes) -> bytes:
    """What :func:`echo` does, for an executor."""
    return value

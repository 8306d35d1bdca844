"""What is believed of an answer; the lies of real children are in test_child.py."""

import pytest

from jobs_service import memfd
from jobs_service.job import output_id
from jobs_service.pool import wire
from jobs_service.pool.answer import Returned, check, finished
from jobs_service.pool.work import Usage
from tests.support.pools import SEED, work

COST = wire.Cost(1.5, 0.5, 4096)
INFO = wire.FileInfo("the child's idea of an id", "a.txt", "text/plain")


async def test_ids_and_sizes_are_the_services_own() -> None:
    fd = memfd.create_with("output", b"12345")
    answer = wire.Returned(1, b"\xc0", (INFO,), COST)
    result = await finished(work("echo"), Returned(7, answer, [fd]))
    (output,) = result.outputs
    assert (output.id, output.size) == (output_id(SEED, 0), 5)
    assert (output.filename, output.content_type) == ("a.txt", "text/plain")
    assert result.usage == Usage(pid=7, seconds=1.5, cpu_seconds=0.5, peak_bytes=4096)
    memfd.close(output.fd)


@pytest.mark.parametrize("value", [b"\xc0", None])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_wrong_number_of_descriptors_is_refused(value: bytes | None, count: int) -> None:
    infos = (INFO,) * (2 if value is not None else 1)
    fds = [memfd.create_with("output", b"x") for _ in range(count)]
    with pytest.raises(wire.WireError, match=f"{count} descriptors where 2 were announced"):
        check(wire.Returned(1, value, infos, COST), fds)
    wire.close_all(fds)


def test_every_descriptor_must_be_sealed() -> None:
    fds = [memfd.create_with("output", b"x"), memfd.create("unsealed")]
    answer = wire.Returned(1, b"\xc0", (INFO, INFO), COST)
    with pytest.raises(wire.WireError, match="not a sealed memfd"):
        check(answer, fds)
    memfd.seal(fds[1])
    check(answer, fds)
    wire.close_all(fds)

"""Large bytes to and from memfds, through a thread, also when cancelled half-way."""

import asyncio
import os

import pytest

from jobs_service import memfd
from jobs_service.pool import payload, wire
from tests.support.pools import open_descriptors
from tests.support.waiting import eventually


async def test_there_and_back() -> None:
    data = os.urandom(1_000_000)
    fd = await payload.fill(data)
    assert memfd.is_sealed(fd)
    before = open_descriptors()
    assert await payload.drain(fd) == data
    assert open_descriptors() == before - 1


async def test_an_unsealed_memfd_is_refused_and_closed() -> None:
    fd = memfd.create("unsealed")
    with pytest.raises(wire.WireError, match="not a sealed memfd"):
        await payload.drain(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize("way", ["fill", "drain"])
async def test_cancelled_it_closes_its_memfd(way: str) -> None:
    data = bytes(50_000_000)
    await payload.drain(await payload.fill(b"x"))  # the thread is there
    before = open_descriptors()
    source = memfd.create_with("source", data) if way == "drain" else -1
    async with asyncio.TaskGroup() as group:
        task: asyncio.Task[int] | asyncio.Task[bytes]
        if way == "drain":
            task = group.create_task(payload.drain(source))
        else:
            task = group.create_task(payload.fill(data))
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    await eventually(lambda: open_descriptors() == before)

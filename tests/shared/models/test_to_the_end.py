"""A cancelled write is finished before its caller goes on."""

import asyncio

import pytest

from shared.models.to_the_end import to_the_end


async def test_it_returns_what_the_work_returns() -> None:
    async def work() -> int:
        return 5

    assert await to_the_end(work()) == 5


async def test_it_raises_what_the_work_raises() -> None:
    async def work() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await to_the_end(work())


@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_it_ends_after_the_work(fails: bool) -> None:
    events = []
    started, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        await go_on.wait()
        events.append("work ended")
        if fails:
            raise LookupError

    async def caller() -> None:
        try:
            await to_the_end(work())
        except asyncio.CancelledError:
            events.append("caller cancelled")
            raise

    async with asyncio.TaskGroup() as group:
        task = group.create_task(caller())
        await started.wait()
        task.cancel()
        await asyncio.sleep(0)
        assert events == []
        go_on.set()

    assert events == ["work ended", "caller cancelled"]
    assert task.cancelled()

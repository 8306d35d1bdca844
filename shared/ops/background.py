"""Coroutines that run beside a block of code, and end with it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def running(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run ``coroutines`` until the block ends, then cancel them and wait for their end.

    One that fails ends the block as well: half a service must not go on.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def done_before(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Await ``work``, but only until ``stop`` is set; whether it was done before that."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work), group.create_task(_wait(stop))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
    return not tasks[0].cancelled()


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()

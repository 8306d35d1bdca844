"""Awaiting what must not be broken off halfway."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


async def to_the_end(work: Coroutine[Any, Any, Value]) -> Value:
    """Await ``work``; when cancelled meanwhile, let it finish first.

    For a write that is followed by taking it back on failure: cancelled halfway, nobody
    would know whether the server still does it, after it was taken back.
    """
    task = asyncio.ensure_future(work)  # noqa: TID251 - it ends before this function does
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen: it is not what is raised
        raise

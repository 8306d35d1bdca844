"""Coroutines beside a block end with it, and the block ends with a coroutine that fails."""

import asyncio

import pytest

from shared.ops.background import running


async def test_they_are_cancelled_at_the_end_of_the_block() -> None:
    ended = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running(forever()):
        await asyncio.sleep(0)
        assert not ended.is_set()
    assert ended.is_set()


async def test_one_that_fails_ends_the_block() -> None:
    async def fails() -> None:
        raise LookupError("gone")

    with pytest.RaisesGroup(LookupError):
        async with running(fails()):
            await asyncio.Event().wait()

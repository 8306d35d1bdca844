"""A real pool with the test jobs; the pool's own tests run on uvloop and on plain asyncio."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from jobs_service.pool.pool import Pool
from tests.support.pools import PACKAGES, StartPool, pool_config
from tests.support.waiting import eventually

_ON_BOTH_LOOPS = {"test_pool.py", "test_children.py", "test_payload.py"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Services run on uvloop; that the pool needs nothing of it is worth knowing."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "uvloop": uvloop.new_event_loop
    }
    if item.path.name in _ON_BOTH_LOOPS:
        factories["asyncio"] = asyncio.new_event_loop
    return factories


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """Two slots, one spare."""
    async with Pool(pool_config()) as pool:
        await eventually(lambda: len(pool.children()) == 3)
        yield pool


@pytest.fixture
async def start_pool() -> AsyncIterator[StartPool]:
    """Starts pools of any configuration, and closes them after the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            slots: int = 2,
            spares: int = 1,
            packages: tuple[str, ...] = PACKAGES,
            preload: tuple[str, ...] = (),
            exit_seconds: float = 30.0,
        ) -> Pool:
            config = pool_config(slots, spares, packages, preload, exit_seconds)
            pool = await stack.enter_async_context(Pool(config))
            await eventually(lambda: len(pool.children()) == slots + spares)
            return pool

        yield start

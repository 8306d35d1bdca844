"""The conformance peer on a free port, for as long as a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from shared.rpc.server import Server
from tests.conformance.server import application, ddp_server
from tests.support.ddp import Wire


@asynccontextmanager
async def serving(ddp: Server, **options: Any) -> AsyncIterator[str]:
    """The address of a peer that serves ``ddp`` over aiohttp."""
    runner = web.AppRunner(application(ddp, **options), handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/websocket"
    finally:
        await runner.cleanup()


@pytest.fixture
async def peer() -> AsyncIterator[str]:
    async with serving(ddp_server()) as url:
        yield url


@pytest.fixture
async def wire(peer: str) -> AsyncIterator[Wire]:
    async with Wire.to(peer) as wire:
        yield wire

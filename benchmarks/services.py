"""The two services on a MongoDB of their own, for one benchmark."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scripts.supervisor import mongod
from tests.support.stack import Stack, running_stack


@asynccontextmanager
async def services() -> AsyncIterator[Stack]:
    """A started stack; all of it is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as name:
        folder = Path(name)
        server = await asyncio.to_thread(
            lambda: mongod.start(mongod.find(os.environ), folder / "mongo")
        )
        try:
            async with running_stack(server.url, "bench", folder) as stack:
                yield stack
        finally:
            server.stop()

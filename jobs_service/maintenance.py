"""Keeps the collections in order: rescues jobs of dead services, prunes what has expired."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from pymongo.errors import PyMongoError

from shared.models.file_store import FileStore
from shared.models.job_store import JobStore
from shared.models.order_import import OrderImporter

log = structlog.get_logger()

_PRUNE_SECONDS = 300.0


class Maintenance:
    """Two rounds, run by every jobs service; each is safe to run in several at once."""

    def __init__(
        self,
        jobs: JobStore,
        files: FileStore,
        orders: OrderImporter,
        *,
        rescue_seconds: float,
        on_rescued: Callable[[], None],
    ) -> None:
        self._jobs = jobs
        self._files = files
        self._orders = orders
        self._rescue_seconds = rescue_seconds
        self._on_rescued = on_rescued

    async def run(self) -> None:
        """Make the rounds until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_every(self._rescue_seconds, self.rescue))
            group.create_task(_every(_PRUNE_SECONDS, self.prune))

    async def rescue(self) -> None:
        """Free the jobs whose lease ran out: their service died, or can't reach the database."""
        if rescued := await self._jobs.rescue():
            log.warning("jobs.rescued", count=rescued)
            self._on_rescued()

    async def prune(self) -> None:
        """Delete expired files, and what killed services left of imports.

        Old jobs and sessions go by themselves, by TTL indexes.
        """
        if pruned := await self._files.prune():
            log.info("files.pruned", count=pruned)
        if undone := await self._orders.undo_abandoned():
            log.warning("imports.undone", count=undone)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Work now and again after each pause; the database being away only skips a turn."""
    while True:
        try:
            await work()
        except PyMongoError as error:
            log.warning("maintenance.failed", round=work.__name__, error=str(error))
        await asyncio.sleep(seconds)

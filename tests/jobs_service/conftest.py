"""An executor on a real pool and a real database, with the jobs of ``service_jobs``."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from jobs_service.executor import Executor
from jobs_service.job import jobs_in
from jobs_service.pool.pool import Pool
from jobs_service.pool.work import PoolConfig
from shared.models.database import Database, open_database
from shared.models.file_store import FileStore
from shared.models.prepare import prepare

PACKAGES = ("tests.support.service_jobs",)


@pytest.fixture
async def database(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    async with open_database(mongo_url, database_name) as database:
        await prepare(database)
        yield database


@pytest.fixture
async def executor(database: Database) -> AsyncIterator[Executor]:
    async with Pool(PoolConfig(slots=2, packages=PACKAGES)) as pool:
        yield Executor(
            jobs_in(PACKAGES),
            pool,
            FileStore(database),
            database_url="",
            keep_files_for=timedelta(days=1),
            registry=CollectorRegistry(),
        )

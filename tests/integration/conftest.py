"""One pair of real services for all the tests of this folder, and clients that use it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from tests.support.stack import Api, Stack


@pytest.fixture(scope="session")
def stack(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    database = f"test_{uuid.uuid4().hex}"
    stack = Stack(mongo_url, database, tmp_path_factory.mktemp("stack"))
    try:
        asyncio.run(stack.start())
        yield stack
    finally:
        asyncio.run(stack.close())
        client: MongoClient[dict[str, Any]]
        with MongoClient(mongo_url) as client:
            client.drop_database(database)


@pytest.fixture
async def ann(stack: Stack) -> AsyncIterator[Api]:
    async with stack.client("ann") as api:
        yield api


@pytest.fixture
async def bob(stack: Stack) -> AsyncIterator[Api]:
    async with stack.client("bob") as api:
        yield api


@pytest.fixture
async def nobody(stack: Stack) -> AsyncIterator[Api]:
    async with stack.client() as api:
        yield api

"""A MongoDB of each test's own, that can be killed and started again, and services on it."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from scripts.supervisor import mongod
from tests.support.stack import Stack, running_stack


class KillableMongo:
    """One mongod on one data directory, always on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._binary = mongod.find(os.environ)
        self._server = mongod.start(self._binary, folder)
        self.url = self._server.url

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        process = self._server.process
        assert process is not None
        process.kill()
        process.wait()

    def start(self) -> None:
        """Start it again on what the killed one left."""
        self._server = mongod.start(self._binary, self._folder)
        assert self._server.url == self.url

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[KillableMongo]:
    server = KillableMongo(tmp_path / "mongo")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
async def stack(mongo: KillableMongo, tmp_path: Path) -> AsyncIterator[Stack]:
    async with running_stack(mongo.url, "faults", tmp_path) as started:
        yield started

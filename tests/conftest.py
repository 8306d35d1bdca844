"""Fixtures for every test: a real MongoDB, and a database of one's own in it."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from scripts.supervisor import mongod


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A replica set that takes writes: ``MONGO_URL``, else an embedded one of this session."""
    if given := os.environ.get("MONGO_URL"):
        yield given
        return
    data: Path = tmp_path_factory.mktemp("mongo")
    server = mongod.start(mongod.find(os.environ), data)
    try:
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def _mongo_client(mongo_url: str) -> Iterator[MongoClient[dict[str, Any]]]:
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongo_url) as client:
        yield client


@pytest.fixture
def database_name(_mongo_client: MongoClient[dict[str, Any]]) -> Iterator[str]:
    """The name of a database that no other test uses; dropped after the test."""
    name = f"test_{uuid.uuid4().hex}"
    yield name
    _mongo_client.drop_database(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Repeat what ``scripts/test`` found before, where people look."""
    if "CHECKS_FAILED" in os.environ:
        terminalreporter.section("scripts/check failed", red=True)
        terminalreporter.line("The tests ran nevertheless; this run fails. See above, or run it.")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail after failed checks, also when all tests have passed."""
    if "CHECKS_FAILED" in os.environ and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

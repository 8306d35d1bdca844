"""A service that can't start yet, or not at all, says so and stops when it is told to."""

import asyncio
import signal
from pathlib import Path

import pytest

from scripts.supervisor import ports
from tests.support.stack import Service
from tests.support.waiting import eventually


def service(name: str, folder: Path, port: int) -> Service:
    settings = {
        "environment": "development",
        "mongo": {"url": f"mongodb://127.0.0.1:{ports.free_port()}/?serverSelectionTimeoutMS=200"},
        name: {"port": port},
    }
    return Service(name, port, settings, folder / f"{name}.log")


@pytest.mark.parametrize("name", ["web", "jobs"])
async def test_a_service_that_waits_for_its_database_can_be_stopped(
    name: str, tmp_path: Path
) -> None:
    waiting = service(name, tmp_path, ports.free_port())
    waiting.start_without_waiting()
    await eventually(lambda: "database.waited_for" in waiting.log(), 40)
    assert await asyncio.to_thread(waiting.stop, signal.SIGTERM) == 0
    assert "Traceback" not in waiting.log()

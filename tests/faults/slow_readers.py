"""A subscriber that stops reading, beside others who don't.

``python -m tests.faults.slow_readers`` measures the others' calls with and without it, and
the server's memory, which is in a process of its own.
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from shared.rpc.client import Client
from shared.rpc.ddp.config import ServerConfig
from shared.rpc.server import MethodContext, Server, Subscription
from shared.rpc.transport import WebSocketTransport, peer_of
from tests.support.ddp import CONNECT

DOCUMENT_BYTES: Final = 10_000
_ROUND_SECONDS: Final = 0.005
_SPAWN: Final = multiprocessing.get_context("spawn")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


async def flood(sub: Subscription, megabytes_a_second: float) -> None:
    """Publish without end, whether anybody reads it or not."""
    sub.unblock()
    text, number = "x" * DOCUMENT_BYTES, 0
    each_round = megabytes_a_second * 1e6 * _ROUND_SECONDS / DOCUMENT_BYTES
    while True:
        number += 1
        for part in range(max(1, round(each_round))):
            sub.added("flood", f"{number} {part}", {"text": text})
            sub.removed("flood", f"{number} {part}")
        await asyncio.sleep(_ROUND_SECONDS)


async def echo(_context: MethodContext, value: Any) -> Any:
    """The others' calls."""
    return value


class SlowReader:
    """A raw subscriber to :func:`flood` that can stop reading, and learns how it ended."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str, megabytes_a_second: float) -> AsyncIterator["SlowReader"]:
        """One that has subscribed."""
        async with connect(url, compression=None, ping_interval=None, proxy=None) as connection:
            await connection.send(CONNECT)
            sub = {"msg": "sub", "id": "s", "name": "flood", "params": [megabytes_a_second]}
            await connection.send(msgspec.json.encode(sub), text=True)
            await connection.recv()
            yield cls(connection)

    def stop_reading(self) -> None:
        self._connection.transport.pause_reading()

    async def end(self) -> tuple[int, str]:
        """Read on, to the end: the code and the reason of the close."""
        self._connection.transport.resume_reading()
        try:
            while True:
                await self._connection.recv()
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


@asynccontextmanager
async def serving(
    close_timeout: float = 6.0, config: ServerConfig | None = None
) -> AsyncIterator[tuple[str, Server]]:
    """A server in this process, and its address."""
    ddp = Server({"echo": echo}, {"flood": flood}, config=config)

    async def handle(connection: ServerConnection) -> None:
        await ddp.serve(WebSocketTransport(connection, close_timeout), peer_of(connection))

    async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", ddp
        await ddp.close()


def _server_process(started: Connection) -> None:
    def tell(_logger: object, _name: str, event: structlog.typing.EventDict) -> str:
        started.send(event["event"])
        raise structlog.DropEvent

    async def main() -> None:
        async with serving() as (url, _ddp):
            started.send(url)
            await asyncio.Event().wait()

    structlog.configure(processors=[tell])
    uvloop.run(main())


async def measure(seconds: float, callers: int, megabytes_a_second: float) -> dict[str, Any]:
    """The others' calls without and with a slow reader; milliseconds and megabytes."""
    ours, theirs = _SPAWN.Pipe()
    server = _SPAWN.Process(target=_server_process, args=(theirs,), daemon=True)
    server.start()
    try:
        url = await asyncio.to_thread(ours.recv)
        assert server.pid is not None
        memory = _Memory(server.pid)
        figures: dict[str, Any] = {}
        async with Client(url) as client:
            await client.connected()
            await _calls(client, seconds / 4, callers)
            figures["without"] = await _calls(client, seconds, callers)
            memory.first = memory.now()
            async with SlowReader.to(url, megabytes_a_second) as reader, memory.watched():
                reader.stop_reading()
                began = time.monotonic()
                async with asyncio.TaskGroup() as group:
                    calls = group.create_task(_calls(client, seconds, callers))
                    event = await asyncio.to_thread(ours.recv)
                    figures["seconds until given up"] = time.monotonic() - began
                    figures["logged"] = event
                    figures["closed with"] = await reader.end()
                figures["with"] = calls.result()
        figures["memory before, peak, after"] = (memory.first, memory.peak, memory.now())
        return figures
    finally:
        server.kill()
        server.join()


class _Memory:
    """Megabytes of one process."""

    def __init__(self, pid: int) -> None:
        self._file = Path(f"/proc/{pid}/statm")
        self.first = self.peak = 0.0

    def now(self) -> float:
        return int(self._file.read_bytes().split()[1]) * _PAGE / 1e6

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        async def watch() -> None:
            while True:
                self.peak = max(self.peak, self.now())
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(watch())
            yield
            watcher.cancel()


async def _calls(client: Client, seconds: float, callers: int) -> dict[str, float]:
    """Calls a second, and how long they took."""
    times: list[float] = []
    ends = time.monotonic() + seconds

    async def caller() -> None:
        while (began := time.monotonic()) < ends:
            await client.call("echo", 1)
            times.append((time.monotonic() - began) * 1e3)
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    times.sort()
    return {
        "a second": len(times) / seconds,
        "p50": times[len(times) // 2],
        "p99": times[int(len(times) * 0.99)],
    }


def main(arguments: list[str]) -> int:
    """Measure once and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.slow_readers", description=__doc__
    )
    parser.add_argument("--seconds", type=float, default=10, help="of each half")
    parser.add_argument("--callers", type=int, default=10)
    parser.add_argument("--rate", type=float, default=20, metavar="MEGABYTES", help="a second")
    given = parser.parse_args(arguments)
    for name, value in uvloop.run(measure(given.seconds, given.callers, given.rate)).items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

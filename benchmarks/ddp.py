"""DDP calls on one connection, beside an echo over a bare WebSocket.

Each server is a process of its own, on uvloop; each echo is one message there and one
back, a call is one there and two back (``updated`` and ``result``), is read, checked,
run as a method and matched to its caller.
"""

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any

import uvloop
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.bare import websocket_to_echo
from shared.ops.garbage import freeze_what_is_there
from shared.rpc.client import Client
from shared.rpc.server import MethodContext, Server
from shared.rpc.transport import WebSocketTransport, peer_of

ROUNDS = 7
CALLS = 6_000
"""In a round, of each kind."""
IN_FLIGHT = (1, 64)
PAYLOAD = "x" * 100

Figures = dict[str, Any]

_SPAWN = multiprocessing.get_context("spawn")


def run() -> Figures:
    """Calls and echoes a second, by how many are in flight: medians over the rounds."""
    return uvloop.run(_measure())


async def _measure() -> Figures:
    samples: dict[str, dict[int, list[float]]] = {
        name: {width: [] for width in IN_FLIGHT} for name in ("ddp", "bare")
    }
    async with _ddp_client() as client, websocket_to_echo() as connection:

        async def calls(count: int, width: int) -> None:
            await _calls(client, count, width)

        async def echoes(count: int, width: int) -> None:
            await _echoes(connection, count, width)

        kinds = {"ddp": calls, "bare": echoes}
        for work in kinds.values():
            await work(500, 64)
        freeze_what_is_there()  # as the services do
        for _ in range(ROUNDS):
            for width in IN_FLIGHT:
                for name, work in kinds.items():
                    started = time.perf_counter()
                    await work(CALLS, width)
                    samples[name][width].append(CALLS / (time.perf_counter() - started))
    return {
        str(width): {name: statistics.median(samples[name][width]) for name in samples}
        for width in IN_FLIGHT
    }


def _ddp_server(port: Connection) -> None:
    async def echo(_context: MethodContext, value: str) -> str:
        return value

    async def main() -> None:
        ddp = Server({"echo": echo})

        async def handle(connection: ServerConnection) -> None:
            await ddp.serve(WebSocketTransport(connection), peer_of(connection))

        freeze_what_is_there()
        async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
            port.send(server.sockets[0].getsockname()[1])
            await asyncio.Event().wait()

    uvloop.run(main())


@asynccontextmanager
async def _ddp_client() -> AsyncIterator[Client]:
    """Our client, connected to our server in another process."""
    ours, theirs = _SPAWN.Pipe()
    server = _SPAWN.Process(target=_ddp_server, args=(theirs,), daemon=True)
    server.start()
    try:
        port = await asyncio.to_thread(ours.recv)
        async with Client(f"ws://127.0.0.1:{port}/websocket") as client:
            await client.connected()
            yield client
    finally:
        server.kill()
        server.join()


async def _calls(client: Client, count: int, width: int) -> None:
    left = count

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await client.call("echo", PAYLOAD)

    async with asyncio.TaskGroup() as callers:
        for _ in range(width):
            callers.create_task(caller())


async def _echoes(connection: ClientConnection, count: int, width: int) -> None:
    """The least there is to do: for each that comes back, the next one leaves."""
    for _ in range(width):
        await connection.send(PAYLOAD)
    for _ in range(count - width):
        await connection.recv()
        await connection.send(PAYLOAD)
    for _ in range(width):
        await connection.recv()


def table(figures: Figures) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| in flight | calls a second | bare echoes a second | ratio |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for width, found in figures.items():
        ddp, bare = found["ddp"], found["bare"]
        lines.append(f"| {width} | {ddp:,.0f} | {bare:,.0f} | {ddp / bare:.2f} |")
    return "\n".join(lines)

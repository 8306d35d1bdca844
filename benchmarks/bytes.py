"""100 MB in one call over ``tandem1``, beside the least it could take, and small calls beside it.

The same bytes travel as one message of a bare ``websockets`` connection, as bytes of a
``tandem1`` call, and as base64 in the EJSON of a call over version 1. Then calls of 100 bytes
are made on the connection that carries them. Each server is a process of its own, on uvloop.
"""

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from shared.ops.garbage import freeze_what_is_there
from shared.rpc.client import Client, ClientConfig
from shared.rpc.ddp import tandem
from shared.rpc.ddp.client import ClientSessionConfig
from shared.rpc.server import MethodContext, Server, ServerConfig
from shared.rpc.transport import TransportConfig, WebSocketTransport, peer_of

SIZE = 100_000_000
ROUNDS = 5
SMALL_CALLS = 5_000
SMALL = "x" * 100
_MOST = 2 * SIZE

Figures = dict[str, Any]
Send = Callable[[bytes], Awaitable[Any]]

_SPAWN = multiprocessing.get_context("spawn")


def run() -> Figures:
    """Seconds for the bytes by way, and the small calls' percentiles in seconds."""
    return uvloop.run(_measure())


async def _measure() -> Figures:
    data = bytes(SIZE)
    async with (
        _connected(_ddp_server, tandem.VERSIONS) as link,
        _connected(_ddp_server, ("1",)) as plain,
        _bare() as bare,
    ):
        freeze_what_is_there()
        ways: dict[str, Send] = {
            "bare": bare,
            "tandem1": lambda sent: link.call("take", sent),
            "base64": lambda sent: plain.call("take", sent),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, send in ways.items():
                seconds[name].append(await _seconds(send(data)))
        await _small_calls(link, 500)
        alone, beside = [], []
        for _ in range(ROUNDS):
            alone.append(await _small_calls(link, SMALL_CALLS // ROUNDS))
            beside.append(await _small_calls_beside(link, data))
    return {
        "seconds": {name: statistics.median(found) for name, found in seconds.items()},
        "small": {"alone": _figures(alone), "beside": _figures(beside)},
    }


async def _seconds(work: Awaitable[Any]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def _small_calls(client: Client, count: int) -> list[float]:
    return [await _seconds(client.call("echo", SMALL)) for _ in range(count)]


async def _small_calls_beside(client: Client, data: bytes) -> list[float]:
    found: list[float] = []
    async with asyncio.TaskGroup() as group:
        large = group.create_task(client.call("take", data))
        while not large.done():
            found.append(await _seconds(client.call("echo", SMALL)))
    return found


def _figures(rounds: Sequence[Sequence[float]]) -> dict[str, float]:
    every = sorted(seconds for found in rounds for seconds in found)
    return {
        "count": len(every),
        "p50": every[len(every) // 2],
        "p99": every[len(every) * 99 // 100],
    }


def _ddp_server(port: Connection) -> None:
    async def take(context: MethodContext, value: bytes) -> int:
        context.unblock()
        return len(value)

    async def echo(context: MethodContext, value: str) -> str:
        context.unblock()
        return value

    ddp_config = ServerConfig(versions=tandem.VERSIONS)

    async def main() -> None:
        ddp = Server({"take": take, "echo": echo}, config=ddp_config)

        async def handle(connection: ServerConnection) -> None:
            await ddp.serve(WebSocketTransport(connection), peer_of(connection))

        await _serve(handle, port)

    uvloop.run(main())


def _bare_server(port: Connection) -> None:
    async def take(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(str(len(message)))

    uvloop.run(_serve(take, port))


async def _serve(handle: Callable[[ServerConnection], Awaitable[None]], port: Connection) -> None:
    freeze_what_is_there()
    async with serve(
        handle, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=_MOST, max_queue=256
    ) as server:
        port.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()


@asynccontextmanager
async def _process(serving: Callable[[Connection], None]) -> AsyncIterator[str]:
    """The address of a server in another process."""
    ours, theirs = _SPAWN.Pipe()
    server = _SPAWN.Process(target=serving, args=(theirs,), daemon=True)
    server.start()
    try:
        yield f"ws://127.0.0.1:{await asyncio.to_thread(ours.recv)}/websocket"
    finally:
        server.kill()
        server.join()


@asynccontextmanager
async def _connected(
    serving: Callable[[Connection], None], versions: tuple[str, ...]
) -> AsyncIterator[Client]:
    config = ClientConfig(
        session=ClientSessionConfig(versions=versions),
        transport=TransportConfig(max_message_bytes=_MOST),
    )
    async with _process(serving) as url, Client(url, config=config) as client:
        await client.connected()
        yield client


@asynccontextmanager
async def _bare() -> AsyncIterator[Send]:
    async with (
        _process(_bare_server) as url,
        connect(url, compression=None, ping_interval=None, proxy=None) as connection,
    ):

        async def send(data: bytes) -> None:
            await connection.send(data)
            await connection.recv()

        yield send


def table(figures: Figures) -> str:
    """The figures as a Markdown table."""
    seconds, small = figures["seconds"], figures["small"]
    lines = ["| 100 MB in one message | seconds | beside bare |", "| --- | ---: | ---: |"]
    for name, found in seconds.items():
        lines.append(f"| {name} | {found:.2f} | {found / seconds['bare']:.2f} |")
    lines += ["", "| calls of 100 bytes | p50 | p99 |", "| --- | ---: | ---: |"]
    for name, found in small.items():
        p50, p99 = found["p50"] * 1e6, found["p99"] * 1e6
        lines.append(f"| {name} ({found['count']:,}) | {p50:,.0f} µs | {p99:,.0f} µs |")
    ratios = [small["beside"][name] / small["alone"][name] for name in ("p50", "p99")]
    lines.append(f"| ratio | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return "\n".join(lines)

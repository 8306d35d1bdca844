"""The floor: an echo over a bare WebSocket, and one over a bare socket pair."""

import asyncio
import multiprocessing
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

Echo = Callable[[bytes], Awaitable[bytes]]

_SPAWN = multiprocessing.get_context("spawn")


def _websocket_server(port: Connection) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def run() -> None:
        async with serve(echo, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
            port.send(server.sockets[0].getsockname()[1])
            await asyncio.Event().wait()

    uvloop.run(run())


def _pipe_server(sock: socket.socket) -> None:
    while data := sock.recv(65536):
        sock.send(data)


@asynccontextmanager
async def websocket_to_echo() -> AsyncIterator[ClientConnection]:
    """A connection to an echo of the ``websockets`` library in another process, on uvloop."""
    ours, theirs = _SPAWN.Pipe()
    server = _SPAWN.Process(target=_websocket_server, args=(theirs,), daemon=True)
    server.start()
    port = await asyncio.to_thread(ours.recv)
    try:
        async with connect(
            f"ws://127.0.0.1:{port}", compression=None, ping_interval=None, proxy=None
        ) as connection:
            yield connection
    finally:
        server.kill()
        server.join()


@asynccontextmanager
async def websocket_echo() -> AsyncIterator[Echo]:
    """An echo over such a connection, one at a time."""
    async with websocket_to_echo() as connection:

        async def echo(data: bytes) -> bytes:
            await connection.send(data)
            answer = await connection.recv(decode=False)
            assert isinstance(answer, bytes)
            return answer

        yield echo


@asynccontextmanager
async def pipe_echo() -> AsyncIterator[Echo]:
    """An echo by a blocking process at the other end of a SOCK_SEQPACKET pair."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server = _SPAWN.Process(target=_pipe_server, args=(theirs,), daemon=True)
    server.start()
    theirs.close()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    waiting: list[asyncio.Future[bytes]] = []

    def answered() -> None:
        data = ours.recv(65536)
        if not data:
            loop.remove_reader(ours)
        waiting.pop().set_result(data)

    loop.add_reader(ours, answered)
    try:

        async def echo(data: bytes) -> bytes:
            future: asyncio.Future[bytes] = loop.create_future()
            waiting.append(future)
            ours.send(data)
            return await future

        yield echo
    finally:
        loop.remove_reader(ours)
        ours.close()
        server.kill()
        server.join()

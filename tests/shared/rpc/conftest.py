"""A real DDP server on loopback, and clients for it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server as Listener
from websockets.asyncio.server import ServerConnection, serve

from shared.rpc.client import Client, ClientConfig
from shared.rpc.ejson import UNDEFINED
from shared.rpc.keeper import Backoff
from shared.rpc.server import Method, MethodContext, Publication, Server
from shared.rpc.transport import WebSocketTransport, peer_of


class Endpoint:
    """A DDP server that listens, can drop all its connections, and come back."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connections: set[ServerConnection] = set()
        self.port = 0
        self.requests: list[Mapping[str, str]] = []
        self._listener: Listener | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/websocket"

    async def start(self) -> None:
        self._listener = await serve(
            self._serve, "127.0.0.1", self.port, compression=None, ping_interval=None
        )
        self.port = next(iter(self._listener.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and cut every connection."""
        if self._listener is not None:
            self._listener.close(close_connections=False)
            self.cut()
            await self._listener.wait_closed()
            self._listener = None

    def cut(self) -> None:
        """Cut every connection, without a word."""
        for connection in self.connections:
            connection.transport.abort()

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        peer = peer_of(connection)
        self.requests.append(peer.headers)
        try:
            await self.server.serve(WebSocketTransport(connection), peer)
        finally:
            self.connections.discard(connection)


Message = dict[str, Any]
Script = Callable[[Message], list[Any]]
"""What a server answers to a message: objects, texts or bytes; CLOSE; DROP."""

CLOSE, DROP = object(), object()


async def outcome(work: Awaitable[Any]) -> Any:
    """What it returns, or the error that it raises."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001
        return error


class ScriptedServer:
    """A server that says whatever its script returns."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.url = ""
        self.received: list[Message] = []

    async def serve(self, connection: ServerConnection) -> None:
        async for text in connection:
            self.received.append(json.loads(text))
            for message in self._script(self.received[-1]):
                if message is DROP:
                    connection.transport.abort()
                    return
                if message is CLOSE:
                    await connection.close()
                    return
                raw = isinstance(message, str | bytes)
                await connection.send(message if raw else json.dumps(message))

    def said(self, kind: str) -> list[Message]:
        """The messages of one kind that came."""
        return [message for message in self.received if message["msg"] == kind]


async def echo(_context: MethodContext, *params: Any) -> Any:
    return params[0] if params else UNDEFINED


class Raw:
    """A connection that is past its handshake, and shows every message."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *messages: dict[str, Any] | str | bytes) -> None:
        for message in messages:
            text = json.dumps(message) if isinstance(message, dict) else message
            await self.connection.send(text)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def take(self, count: int) -> list[dict[str, Any]]:
        return [await self.next() for _ in range(count)]

    async def call(self, name: str, *params: Any, call_id: str = "1") -> dict[str, Any]:
        """Call a method; its result, once ``updated`` has come too."""
        await self.send({"msg": "method", "id": call_id, "method": name, "params": params})
        found = sorted(await self.take(2), key=lambda message: message["msg"])
        assert found[1] == {"msg": "updated", "methods": [call_id]}
        assert found[0]["id"] == call_id
        return found[0]


@contextlib.asynccontextmanager
async def raw(endpoint: Endpoint) -> AsyncIterator[Raw]:
    async with connect(endpoint.url, compression=None, proxy=None) as connection:
        talk = Raw(connection)
        await talk.send('{"msg":"connect","version":"1","support":["1"]}')
        assert (await talk.next())["msg"] == "connected"
        yield talk


class World:
    """Starts servers and clients, and ends them all when the test is over."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def serve(
        self,
        methods: Mapping[str, Method] | None = None,
        publications: Mapping[str, Publication] | None = None,
        **options: Any,
    ) -> Endpoint:
        server = Server(methods or {}, publications, **options)
        endpoint = Endpoint(server)
        await endpoint.start()
        self._stack.push_async_callback(server.close)
        self._stack.push_async_callback(endpoint.stop)
        return endpoint

    async def scripted(self, script: Script) -> ScriptedServer:
        server = ScriptedServer(script)
        listener = await self._stack.enter_async_context(
            serve(server.serve, "127.0.0.1", 0, compression=None, ping_interval=None)
        )
        port = next(iter(listener.sockets)).getsockname()[1]
        server.url = f"ws://127.0.0.1:{port}/"
        return server

    async def client(self, url: str, **options: Any) -> Client:
        """A client that begins to connect, impatiently."""
        options.setdefault("config", ClientConfig(backoff=Backoff(base=0.001, limit=0.01)))
        return await self._stack.enter_async_context(Client(url, **options))

    async def connected(self, endpoint: Endpoint | ScriptedServer, **options: Any) -> Client:
        client = await self.client(endpoint.url, **options)
        await client.connected()
        return client


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(stack)

"""A real DDP server on loopback, and clients for it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.server import Server as Listener
from websockets.asyncio.server import ServerConnection, serve

from shared.rpc.client import Client, ClientConfig
from shared.rpc.server import Method, Publication, Server
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
        self._stack.push_async_callback(endpoint.stop)
        return endpoint

    async def client(self, url: str, **options: Any) -> Client:
        """A client that begins to connect, impatiently."""
        options.setdefault("config", ClientConfig(backoff_base=0.001, backoff_limit=0.01))
        return await self._stack.enter_async_context(Client(url, **options))

    async def connected(self, endpoint: Endpoint, **options: Any) -> Client:
        client = await self.client(endpoint.url, **options)
        await client.connected()
        return client


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(stack)

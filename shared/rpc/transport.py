"""What carries the messages of a session: the protocol, and ``websockets`` as its provider.

aiohttp's twin for browsers is in the web service.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import Side, State

from shared.rpc.ddp.frames import Outgoing
from shared.rpc.websocket_frame import message_frame

GOING_AWAY = 1001
NORMAL_CLOSURE = 1000

_MOST_UNWRITTEN_BYTES = 32_768
"""As much as ``websockets`` lets wait to be written, before who sends has to wait, too."""


class TransportConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one WebSocket connection."""

    max_message_bytes: int = 16_000_000
    """A longer message closes the connection (1009)."""
    open_timeout: float = 10.0
    """Seconds for TCP, TLS and the WebSocket handshake together."""
    close_timeout: float = 5.0
    """Seconds that the other side may take to agree that the connection is closed."""


class Transport(Protocol):
    """One open connection. Iterating ends when it is closed, by whom and how ever."""

    @property
    def close_code(self) -> int | None:
        """With which code the other side closed it; None if it is open, or just broke."""
        ...

    def __aiter__(self) -> AsyncIterator[str | bytes]: ...

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Send texts (``bytes``, in UTF-8) and binary messages, in this order.

        Waits while the other side is slow.

        Called by one coroutine at a time. On a closed connection it does nothing: the
        iteration has ended, or is about to. Being cancelled ends only the wait: all texts
        are sent, or none.
        """
        ...

    def send_now(self, messages: Sequence[Outgoing]) -> bool:
        """As :meth:`send`, if that need not wait; False if it might: nothing was sent."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close it; legal at any time, and more than once."""
        ...


class Peer(msgspec.Struct, frozen=True):
    """Who is at the other end."""

    address: str = ""
    headers: Mapping[str, str] = {}
    """Of the upgrade request; names in lower case."""


class WebSocketTransport:
    """A connection of the ``websockets`` library, server's or client's."""

    def __init__(self, connection: Connection, close_timeout: float = 6.0) -> None:
        """``close_timeout``: seconds after which :meth:`close` cuts the connection."""
        self._connection = connection
        self._close_timeout = close_timeout

    @property
    def close_code(self) -> int | None:
        received = self._connection.protocol.close_rcvd
        return None if received is None else received.code

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        receive = self._connection.recv
        try:
            while True:
                yield await receive()
        except ConnectionClosed:
            return

    async def send(self, messages: Sequence[Outgoing]) -> None:
        self._write(messages)
        with contextlib.suppress(OSError, RuntimeError):  # it is being closed
            await self._connection.drain()

    def send_now(self, messages: Sequence[Outgoing]) -> bool:
        if self._connection.transport.get_write_buffer_size() > _MOST_UNWRITTEN_BYTES:
            return False
        self._write(messages)
        return True

    def _write(self, messages: Sequence[Outgoing]) -> None:
        # connection.send() would write each message to the socket by itself; most of a small
        # message's cost is that write, and waking up the other side for it (measured:
        # 20 µs of 30). Hence one write for all.
        if self._connection.state is not State.OPEN:
            return
        if self._connection.protocol.side is Side.CLIENT:
            frames = [message_frame(message, os.urandom(4)) for message in messages]
        else:
            frames = [message_frame(message) for message in messages]
        # asyncio and uvloop say so in these ways when the socket has just been closed
        with contextlib.suppress(OSError, RuntimeError):
            self._connection.transport.write(b"".join(frames))

    async def close(self, code: int, reason: str) -> None:
        # websockets waits without limit for room in the socket's buffer, to write its last
        # frame: who has stopped reading would keep the connection open for ever
        try:
            async with asyncio.timeout(self._close_timeout):
                await self._connection.close(code, reason)
        except TimeoutError:
            self._connection.transport.abort()


async def open_websocket(
    url: str, *, headers: Mapping[str, str], config: TransportConfig
) -> WebSocketTransport:
    """Connect to a DDP server.

    Raises:
        OSError: no connection, or not in time.
        websockets.exceptions.InvalidHandshake: something else than a WebSocket answered.
    """
    connection = await connect(
        url,
        additional_headers=headers,
        compression=None,  # costs more than it saves on the way between two services
        proxy=None,
        open_timeout=config.open_timeout,
        close_timeout=config.close_timeout,
        ping_interval=None,  # DDP has its own heartbeat
        max_size=config.max_message_bytes,
        max_queue=256,
    )
    return WebSocketTransport(connection)


def peer_of(connection: ServerConnection) -> Peer:
    """Who opened a connection to a ``websockets`` server."""
    remote = connection.remote_address
    address = str(remote[0]) if isinstance(remote, tuple) else ""
    if connection.request is None:
        return Peer(address)
    return Peer(address, headers_of(connection.request.headers.raw_items()))


def headers_of(items: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Headers by their names in lower case; what came in several lines is one list again.

    So that a client can't hide what a proxy adds in a line of its own behind another.
    """
    found: dict[str, str] = {}
    for name, value in items:
        lower = sys.intern(name.lower())  # the same for all, and each session keeps them
        separator = "; " if lower == "cookie" else ", "
        found[lower] = f"{found[lower]}{separator}{value}" if lower in found else value
    return found

"""HTTP as bytes on a socket, for what no well-behaved client sends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

UPGRADE = (
    b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
"""The headers that ask for a WebSocket, without the end of the head."""


class Answer(NamedTuple):
    """A response whose length is known."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawHttp:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator["RawHttp"]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def ask(self, request_line: str, headers: bytes = b"Host: localhost\r\n") -> Answer:
        await self.send(request_line.encode() + b" HTTP/1.1\r\n" + headers + b"\r\n")
        return await self.answer()

    async def answer(self) -> Answer:
        async with asyncio.timeout(10):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        status_line, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(status_line.split()[1]), headers, body)

    async def frame_after(self, frame: bytes) -> bytes:
        """The first two bytes that a WebSocket says to a frame."""
        await self.send(frame)
        async with asyncio.timeout(10):
            return await self._reader.readexactly(2)

    async def is_closed(self) -> bool:
        """Wait until the other side has closed; whether it did so without another word."""
        async with asyncio.timeout(10):
            try:
                return await self._reader.read() == b""
            except ConnectionResetError:
                return True

    async def dribble_until_closed(self) -> None:
        """Send a header's bytes one by one, for as long as the other side bears it."""
        async with asyncio.timeout(10):
            while not self._reader.at_eof():
                try:
                    await self.send(b"x")
                    async with asyncio.timeout(0.005):
                        assert await self._reader.read(1) == b""
                except TimeoutError:
                    continue
                except ConnectionError:
                    return

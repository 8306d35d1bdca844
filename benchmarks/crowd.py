"""A process full of DDP sessions that do nothing but look, as cheap as they can be.

``python -m benchmarks.crowd PORT COUNT SOURCE PATH [HEADER SUB]``: connects from the
address SOURCE, subscribes, and prints ``open``. Then, for each line on its input, it waits
until every session has been sent one ``changed``, and prints when the first and the last
one got it. Without HEADER and SUB, it only opens WebSockets.
"""

import asyncio
import base64
import os
import sys
import time
from typing import cast

import uvloop
from typing_extensions import override

_AT_ONCE = 50
_CONNECT = b'{"msg":"connect","version":"1","support":["1"]}'


def _frame(text: bytes) -> bytes:
    """A text frame of a client; masked with zeros, which is legal, and free."""
    assert len(text) < 65_536
    if len(text) < 126:
        return bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text
    return bytes([0x81, 0xFE]) + len(text).to_bytes(2, "big") + b"\0\0\0\0" + text


class Crowd:
    """All the sessions, and when they were told of the last change."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.told = 0
        self.first = self.last = 0.0
        self.all_told = asyncio.Event()

    def tell(self) -> None:
        """One more session was told."""
        self.last = time.monotonic()
        self.told += 1
        if self.told == 1:
            self.first = self.last
        if self.told == self.count:
            self.all_told.set()

    async def change(self) -> tuple[float, float]:
        """When the first and the last session are told of the next change."""
        await self.all_told.wait()
        self.all_told.clear()
        self.told = 0
        return self.first, self.last


class Looker(asyncio.Protocol):
    """One session: it answers pings."""

    def __init__(self, crowd: Crowd, request: bytes, sub: bytes) -> None:
        self.open = asyncio.get_running_loop().create_future()
        self._crowd = crowd
        self._request = request
        self._sub = sub
        self._buffer = b""
        self._upgraded = False
        self._transport: asyncio.WriteTransport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is of its own kind
        self._transport.write(self._request)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.open.done():
            self.open.set_exception(exc or ConnectionError("closed"))

    @override
    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        data = self._buffer + data
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded = True
            if self._sub:
                self._transport.write(_frame(_CONNECT) + _frame(self._sub))
            else:
                self.open.set_result(None)
        self._buffer = self._read(data)

    def _read(self, data: bytes) -> bytes:
        while len(data) >= 2:
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(data[2:10], "big"), 10
            if len(data) < start + size:
                break
            self._take(data[start : start + size])
            data = data[start + size :]
        return data

    def _take(self, text: bytes) -> None:
        assert self._transport is not None
        if text.startswith(b'{"msg":"changed"'):
            self._crowd.tell()
        elif text.startswith(b'{"msg":"ping"'):
            self._transport.write(_frame(b'{"msg":"pong"}'))
        elif text.startswith(b'{"msg":"ready"'):
            self.open.set_result(None)
        elif text.startswith(b'{"msg":"nosub"'):
            self.open.set_exception(ConnectionError(text.decode()))


async def _run(port: int, count: int, source: str, path: str, header: str, sub: str) -> None:
    crowd = Crowd(count)
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
        f"Accept-Language: en-US,en;q=0.5\r\n{header}\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    turn = asyncio.Semaphore(_AT_ONCE)
    kept: list[Looker] = []

    async def come() -> None:
        async with turn:
            _, looker = await loop.create_connection(
                lambda: Looker(crowd, request, sub.encode()),
                "127.0.0.1",
                port,
                local_addr=(source, 0),
            )
            kept.append(looker)
            await looker.open

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(come())
    print("open", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(*await crowd.change(), flush=True)
    os._exit(0)  # all at once, without a goodbye to each


if __name__ == "__main__":
    _port, _count, _source, _path, *_rest = sys.argv[1:]
    uvloop.run(_run(int(_port), int(_count), _source, _path, *(_rest or ("X-Bare: 1", ""))))

"""A TCP proxy that treats its connections badly: exactly as told, byte by byte."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from random import Random
from typing import Any

import msgspec

_READ_BYTES = 65_536
_LINGER_NONE = struct.pack("ii", 1, 0)  # close() then resets the connection


class Kind(Enum):
    """What happens to a connection when so many bytes have passed."""

    RESET = "reset"
    """Both ends get a RST; what was under way is lost."""
    CLOSE = "close"
    """Both ends get a FIN, behind what has arrived here."""
    STALL = "stall"
    """Nothing passes any more, in either direction, and nobody is told."""
    HALF_CLOSE = "half-close"
    """The receiver gets a FIN, and can go on sending."""


class Fault(msgspec.Struct, frozen=True):
    """One fault of one direction."""

    kind: Kind
    after_bytes: int


class Line(msgspec.Struct, frozen=True):
    """How one direction of a connection behaves."""

    fault: Fault | None = None
    piece_bytes: int = 0
    """Bytes per write; 0 passes on whatever came."""
    seconds: float = 0.0
    """Between two writes."""


class Plan(msgspec.Struct, frozen=True):
    """How one connection behaves."""

    up: Line = Line()
    """From who connected here."""
    down: Line = Line()


class Proxy:
    """Listens, connects on, and passes bytes as its plans say."""

    def __init__(self, port: int, plan_of: Callable[[int], Plan]) -> None:
        """``port`` of this host is where it connects to; ``plan_of`` each connection's number."""
        self.port = 0
        self.faults: list[Kind] = []
        """Those that have happened."""
        self.connections = 0
        self._target = port
        self._plan_of = plan_of
        self._links: set[_Link] = set()
        self._is_closing = False
        self._group = asyncio.TaskGroup()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/websocket"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Proxy"]:
        """Work until the end of the block; then every connection is reset."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with self._group:
            try:
                yield self
            finally:
                server.close()
                self._is_closing = True
                self.reset_all()

    def reset_all(self) -> None:
        """Reset every connection, now."""
        for link in list(self._links):
            link.reset()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        self._group.create_task(self._serve(self._plan_of(number), reader, writer))

    async def _serve(
        self, plan: Plan, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        link = _Link(writer, far_writer, self.faults.append)
        self._links.add(link)
        try:
            if not self._is_closing:
                async with asyncio.TaskGroup() as both:
                    both.create_task(link.carry(reader, far_writer, plan.up))
                    both.create_task(link.carry(far_reader, writer, plan.down))
        finally:
            self._links.discard(link)
            link.reset()


class _Link:
    """One connection here and the one that it leads to."""

    def __init__(
        self,
        near: asyncio.StreamWriter,
        far: asyncio.StreamWriter,
        happened: Callable[[Kind], None],
    ) -> None:
        self._writers = (near, far)
        self._happened = happened
        self._is_stalled = False
        self._finished: set[asyncio.StreamWriter] = set()  # got their FIN
        for writer in self._writers:
            raw: Any = writer.get_extra_info("socket")
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: Line
    ) -> None:
        """Pass on one direction until its end or its fault."""
        passed = 0
        left = line.fault.after_bytes if line.fault else None
        try:
            while data := await reader.read(_READ_BYTES):
                part = data if left is None else data[: left - passed]
                await self._pass_on(part, writer, line)
                passed += len(part)
                if line.fault is not None and passed == left:
                    left = None
                    self._fail(line.fault.kind, writer)
            if not self._is_stalled and writer not in self._finished:
                writer.write_eof()
        except OSError:
            self.reset()

    def reset(self) -> None:
        """Cut it, without a word."""
        for writer in self._writers:
            _reset(writer)

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter, line: Line) -> None:
        size = line.piece_bytes or len(data)
        for start in range(0, len(data), size):
            if self._is_stalled or writer in self._finished:
                return
            writer.write(data[start : start + size])
            await writer.drain()
            if line.piece_bytes:
                await asyncio.sleep(line.seconds)

    def _fail(self, kind: Kind, writer: asyncio.StreamWriter) -> None:
        self._happened(kind)
        match kind:
            case Kind.RESET:
                self.reset()
            case Kind.CLOSE:
                for each in self._writers:
                    each.close()
            case Kind.STALL:
                self._is_stalled = True
            case Kind.HALF_CLOSE:
                self._finished.add(writer)
                writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: Any = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    writer.transport.abort()


def dropping(
    seed: int, most_bytes: int, kinds: tuple[Kind, ...] = tuple(Kind)
) -> Callable[[int], Plan]:
    """Plans under which every connection drops after a random number of bytes."""

    def plan_of(number: int) -> Plan:
        random = Random(f"{seed} {number}")
        fault = Fault(random.choice(kinds), random.randint(1, most_bytes))
        pieces = Line(piece_bytes=random.choice((0, 0, 0, 1, 7, 100)))
        faulty = msgspec.structs.replace(pieces, fault=fault)
        return Plan(faulty, pieces) if random.random() < 0.5 else Plan(pieces, faulty)

    return plan_of

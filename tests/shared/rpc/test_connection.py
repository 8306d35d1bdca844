"""The pump: what is sent together, what still goes out, and when it wakes up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from shared.rpc.connection import Marks, Pump
from shared.rpc.ddp.frames import Outgoing
from tests.support.waiting import eventually


class Pipe:
    """A transport whose other side is the test."""

    close_code = None

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self.sent: list[list[Outgoing]] = []
        self.closed: list[tuple[int, str]] = []
        self.room = asyncio.Event()
        self.room.set()

    async def __aiter__(self) -> AsyncIterator[str]:
        while (text := await self.inbox.get()) is not None:
            yield text

    async def send(self, messages: Sequence[Outgoing]) -> None:
        self.sent.append(list(messages))
        await self.room.wait()

    def send_now(self, messages: Sequence[Outgoing]) -> bool:
        if self.room.is_set():
            self.sent.append(list(messages))
        return self.room.is_set()

    async def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))
        self.inbox.put_nowait(None)


class Echo:
    """A session that says everything back, and once more at its timer."""

    def __init__(self) -> None:
        self.outgoing: list[bytes] = []
        self.received: list[str] = []
        self.signs_of_life = 0
        self.due: float | None = None

    @property
    def has_texts_to_send(self) -> bool:
        return bool(self.outgoing)

    @property
    def bytes_to_send(self) -> int:
        return sum(map(len, self.outgoing))

    @property
    def has_bulk_to_send(self) -> bool:
        return False

    def bulk_to_send(self) -> Sequence[Outgoing]:
        return ()

    def receive(self, text: str | bytes, now: float) -> None:
        self.received.append(str(text))
        self.outgoing.append(str(text).encode())

    def texts_to_send(self) -> list[bytes]:
        texts, self.outgoing = self.outgoing, []
        return texts

    def other_side_is_alive(self) -> None:
        self.signs_of_life += 1

    def next_timer(self) -> float | None:
        return self.due

    def handle_timer(self, now: float) -> None:
        assert self.due is not None
        assert now >= self.due
        self.due = None
        self.outgoing.append(b"timer")


class Bench:
    def __init__(self) -> None:
        self.pipe, self.session = Pipe(), Echo()
        self.pump = Pump(self.session, self.pipe, lambda: None)


async def test_texts_of_one_moment_are_sent_together() -> None:
    bench = Bench()
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.pump.run())
        for text in "abc":
            bench.pipe.inbox.put_nowait(text)
        await eventually(lambda: bench.pipe.sent == [[b"a", b"b", b"c"]])
        bench.pipe.inbox.put_nowait(None)


async def test_while_one_sends_the_others_texts_gather() -> None:
    bench = Bench()
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.pump.run())
        bench.pipe.room.clear()
        bench.session.outgoing.append(b"first")
        bench.pump.flush()
        await eventually(lambda: bench.pipe.sent)
        for text in (b"second", b"third"):
            bench.session.outgoing.append(text)
            bench.pump.flush()
        assert bench.pipe.sent == [[b"first"]]
        bench.pipe.room.set()
        await eventually(lambda: len(bench.pipe.sent) == 2)
        assert bench.pipe.sent[1] == [b"second", b"third"]
        bench.session.outgoing.append(b"fourth")
        bench.pump.flush()
        assert bench.pipe.sent[2] == [b"fourth"]
        bench.pipe.inbox.put_nowait(None)


async def test_the_last_texts_go_out_before_the_close() -> None:
    bench = Bench()
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.pump.run())
        bench.pipe.inbox.put_nowait("hello")
        await eventually(lambda: bench.pipe.sent)
        bench.session.outgoing.append(b"bye")
        bench.pump.close_soon(1000, "first")
        bench.pump.close_soon(1001, "second")
    assert bench.pipe.sent == [[b"hello"], [b"bye"]]
    assert bench.pipe.closed == [(1000, "first")]


async def test_the_timer_follows_the_session() -> None:
    bench = Bench()
    loop = asyncio.get_running_loop()
    bench.session.due = loop.time() + 1000
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.pump.run())
        await asyncio.sleep(0)
        bench.session.due = loop.time() + 0.001
        bench.pipe.inbox.put_nowait("x")
        await eventually(lambda: [b"timer"] in bench.pipe.sent)
        bench.pipe.inbox.put_nowait(None)


async def test_events_follow_every_text_and_timer() -> None:
    pipe, session = Pipe(), Echo()
    calls: list[Any] = []
    session.due = asyncio.get_running_loop().time()
    pump = Pump(session, pipe, lambda: calls.append(len(calls)))
    async with asyncio.TaskGroup() as group:
        group.create_task(pump.run())
        pipe.inbox.put_nowait("x")
        await eventually(lambda: len(calls) == 2)
        pipe.inbox.put_nowait(None)


async def test_a_reader_that_is_too_slow_is_given_up_and_what_waits_stays_bounded() -> None:
    pipe, echo = Pipe(), Echo()
    pipe.room.clear()
    pump = Pump(echo, pipe, lambda: None)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pump.run())
        echo.outgoing.append(b"first")
        pump.flush_soon()
        await eventually(lambda: pipe.sent)
        sent = 0
        while not pipe.closed:
            echo.outgoing.append(bytes(1_000_000))
            pump.flush_soon()
            sent += 1
            await asyncio.sleep(0)
        assert pipe.closed == [(1008, "reading too slowly")]
        assert Marks().limit / 1_000_000 <= sent <= Marks().limit / 1_000_000 + 3
        await running


async def test_much_at_once_is_no_reason_to_give_up() -> None:
    pipe, echo = Pipe(), Echo()
    pump = Pump(echo, pipe, lambda: None)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pump.run())
        echo.outgoing += [bytes(1_000_000)] * 50
        pump.flush_soon()
        await eventually(lambda: pipe.sent)
        assert pipe.closed == []
        pipe.inbox.put_nowait(None)
        await running


class Slow(Pipe):
    """A transport whose other side takes what the test lets it take."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: asyncio.Queue[None] = asyncio.Queue()
        self.room.clear()

    async def send(self, messages: Sequence[Outgoing]) -> None:
        self.sent.append(list(messages))
        await self.turns.get()


async def test_nothing_is_read_from_who_does_not_read() -> None:
    pipe, echo = Slow(), Echo()
    pump = Pump(echo, pipe, lambda: None, marks=Marks(high=10, low=5, limit=1000))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pump.run())
        pipe.inbox.put_nowait("12345")
        await eventually(lambda: len(pipe.sent) == 1)
        for text in ("67890", "x", "y"):  # 10 bytes wait: that may be; one more may not
            pipe.inbox.put_nowait(text)
        await eventually(lambda: echo.received == ["12345", "67890", "x"])
        for _ in range(5):
            await asyncio.sleep(0)
        assert pipe.inbox.qsize() == 1
        assert echo.signs_of_life == 0
        pipe.turns.put_nowait(None)
        await eventually(lambda: len(pipe.sent) == 2)
        assert echo.signs_of_life == 1
        assert pipe.inbox.qsize() == 1  # 6 bytes are still more than the low mark
        pipe.turns.put_nowait(None)
        await eventually(lambda: echo.received[3:] == ["y"])
        pipe.inbox.put_nowait(None)
        await running


async def test_a_pump_that_waits_can_still_be_let_go() -> None:
    pipe, echo = Slow(), Echo()
    pump = Pump(echo, pipe, lambda: None, marks=Marks(high=3, low=0, limit=1000))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pump.run())
        pipe.inbox.put_nowait("12")
        await eventually(lambda: pipe.sent)
        for text in ("34", "56"):
            pipe.inbox.put_nowait(text)
        await eventually(lambda: len(echo.received) == 2)
        pump.let_go(1000, "elsewhere")
        pipe.turns.put_nowait(None)
        await running
    assert pipe.closed == [(1000, "elsewhere")]
    assert len(echo.received) == 2  # what came behind is not the session's any more


async def test_nobody_waits_for_a_pump_whose_transport_is_gone() -> None:
    """Its session goes on over another one, which does not tell those who waited here."""
    pipe, echo = Slow(), Echo()
    pump = Pump(echo, pipe, lambda: None, marks=Marks(high=1, low=0, limit=1000))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pump.run())
        echo.outgoing.append(b"first")
        pump.flush_soon()
        await eventually(lambda: pipe.sent)
        echo.outgoing.append(b"second")
        method = group.create_task(pump.room())
        pipe.inbox.put_nowait(None)
        await running
        async with asyncio.timeout(5):
            await method
    assert echo.outgoing == [b"second"]


async def test_at_the_limit_a_reader_is_waited_for_and_above_it_given_up() -> None:
    pipe, echo = Slow(), Echo()
    flooded: list[int] = []
    pump = Pump(
        echo,
        pipe,
        lambda: None,
        marks=Marks(high=10, low=5, limit=20),
        on_flood=lambda: flooded.append(1),
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pump.run())
        echo.outgoing.append(b"x" * 10)
        pump.flush_soon()
        await eventually(lambda: pipe.sent)
        echo.outgoing.append(b"x" * 10)
        pump.flush_soon()
        assert (pipe.closed, flooded) == ([], [])
        echo.outgoing.append(b"x")
        pump.flush_soon()
        await running
    assert (pipe.closed, flooded) == ([(1008, "reading too slowly")], [1])


async def test_it_can_be_told_to_close_before_it_runs() -> None:
    pipe, echo = Pipe(), Echo()
    pump = Pump(echo, pipe, lambda: None)
    echo.outgoing.append(b"bye")
    pump.close_soon(1000, "full")
    await pump.run()
    assert (pipe.sent, pipe.closed) == ([[b"bye"]], [(1000, "full")])

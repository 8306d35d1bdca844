"""The pump between one session, which knows no I/O, and one transport."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from shared.rpc.ddp.frames import Outgoing
from shared.rpc.transport import Transport

log = structlog.get_logger()

_LAST_TEXTS_SECONDS = 1.0
"""How long a slow reader may hold up a close, so that it still gets its last texts."""

POLICY_VIOLATION = 1008


class Marks(msgspec.Struct, frozen=True):
    """How many bytes may wait for the other side."""

    high: int = 1_000_000
    """Above this, nothing is read from it…"""
    low: int = 250_000
    """…until no more than this waits."""
    limit: int = 32_000_000
    """Above this, it reads too slowly, and is closed."""


class Session(Protocol):
    """The part that the sessions of ``ddp`` have in common."""

    @property
    def has_texts_to_send(self) -> bool: ...
    @property
    def bytes_to_send(self) -> int: ...
    def receive(self, text: str | bytes, now: float) -> None: ...
    @property
    def has_bulk_to_send(self) -> bool: ...
    def texts_to_send(self) -> Sequence[Outgoing]: ...
    def bulk_to_send(self) -> Sequence[Outgoing]: ...
    def other_side_is_alive(self) -> None: ...
    def next_timer(self) -> float | None: ...
    def handle_timer(self, now: float) -> None: ...


class Pump:
    """Moves texts and time between a session and a transport, until that is closed."""

    __slots__ = (
        *("_bulk_sender", "_close_with", "_group", "_is_woken", "_marks", "_on_events"),
        *("_on_flood", "_on_text", "_progress", "_sender", "_sending_bytes", "_session"),
        *("_timer", "_timer_due", "_transport", "_waiters"),
    )

    def __init__(
        self,
        session: Session,
        transport: Transport,
        on_events: Callable[[], None],
        on_text: Callable[[str | bytes], None] | None = None,
        *,
        marks: Marks | None = None,
        on_flood: Callable[[], None] | None = None,
    ) -> None:
        """``on_events`` is called whenever the session may have events, never concurrently.

        ``on_text``: with each text, before the session takes it in.
        ``on_flood``: when the transport is closed because its other side reads too slowly.
        """
        self._session: Session | None = session  # None: it goes on elsewhere
        self._transport = transport
        self._on_events = on_events
        self._on_text = on_text
        self._on_flood = on_flood
        self._marks = marks or Marks()
        self._sending_bytes = 0
        self._is_woken = False
        self._sender: asyncio.Task[None] | None = None  # while the other side is slow
        self._bulk_sender: asyncio.Task[None] | None = None
        self._progress: asyncio.Event | None = None
        self._waiters = 0  # for progress
        self._close_with: tuple[int, str] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0  # uvloop's handles don't know it when it has passed
        self._group: asyncio.TaskGroup | None = None

    async def run(self, texts: AsyncIterator[str | bytes] | None = None) -> None:
        """Work until the transport is closed. Being cancelled leaves it open.

        ``texts``: what is left of the transport's, if somebody has begun to read them.
        """
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                if self._close_with is not None:
                    group.create_task(self._close(*self._close_with))
                self.flush_soon()
                self._arm_timer()
                await self._receive_all(aiter(self._transport) if texts is None else texts)
            finally:
                self._group = None
                self._session = None
                self._made_progress()  # who waits for room must not do so for ever
                for sender in (self._sender, self._bulk_sender):
                    if sender is not None:
                        sender.cancel()
                if self._timer is not None:
                    self._timer.cancel()

    def flush_soon(self) -> None:
        """Have the session's texts sent, together with all others of this moment."""
        session = self._session
        if self._is_woken or session is None:
            return
        if not session.has_texts_to_send:
            if session.has_bulk_to_send:
                self._begin_bulk()
            return
        if self._sender is not None:
            if self._waiting_bytes() > self._marks.limit:
                self._give_up()
        elif self._group is not None:
            self._is_woken = True
            asyncio.get_running_loop().call_soon(self._wake_up)

    def flush(self) -> None:
        """Send the session's texts now, or as soon as the other side takes them."""
        if self._sender is not None or self._group is None:
            return
        while self._session is not None and (texts := self._session.texts_to_send()):
            if not self._transport.send_now(texts):
                self._sender = self._group.create_task(self._send_slowly(texts))
                break
            self._made_progress()
        if self._session is not None and self._session.has_bulk_to_send:
            self._begin_bulk()

    @property
    def is_full(self) -> bool:
        """Whether more waits to be sent than should."""
        return self._waiting_bytes() > self._marks.high

    async def room(self) -> None:
        """Of a full one: wait until the other side has taken most of it."""
        self.flush_soon()
        await self._until(lambda: self._waiting_bytes() <= self._marks.low)

    def close_soon(self, code: int, reason: str) -> None:
        """Send what there is to send, then close the transport. The first call counts."""
        if self._close_with is None:
            self._close_with = code, reason
            if self._group is not None:
                self._group.create_task(self._close(code, reason))

    def let_go(self, code: int, reason: str) -> None:
        """Take nothing more from the session nor give it anything, and close the transport."""
        self._session = None
        self._made_progress()
        self.close_soon(code, reason)

    # Inside

    def _waiting_bytes(self) -> int:
        session = self._session
        return self._sending_bytes + (0 if session is None else session.bytes_to_send)

    def _give_up(self) -> None:
        """The other side reads too slowly for what is sent to it."""
        if self._group is None or self._close_with is not None:
            return
        self._close_with = POLICY_VIOLATION, "reading too slowly"
        log.warning("rpc.reader_too_slow", limit_bytes=self._marks.limit)
        self._group.create_task(self._transport.close(*self._close_with))
        self._session = None
        self._made_progress()
        if self._on_flood is not None:
            self._on_flood()

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_TEXTS_SECONDS):
                await self._until(lambda: self._sender is None)
                self.flush()
                await self._until(lambda: self._sender is None)
        await self._transport.close(code, reason)

    def _wake_up(self) -> None:
        self._is_woken = False
        self.flush()

    async def _send_slowly(self, texts: Sequence[Outgoing]) -> None:
        try:
            while texts:
                self._sending_bytes = sum(map(len, texts))
                await self._transport.send(texts)
                self._made_progress()
                texts = [] if self._session is None else self._session.texts_to_send()
        finally:
            self._sender = None
            self._sending_bytes = 0
            self._made_progress()
            self._begin_bulk()

    def _begin_bulk(self) -> None:
        if self._bulk_sender is None and self._group is not None:
            self._bulk_sender = self._group.create_task(self._send_bulk())

    async def _send_bulk(self) -> None:
        """Send what can wait, a little at a time, as long as there is nothing else to send."""
        try:
            while (session := self._session) is not None and session.has_bulk_to_send:
                self.flush()
                if self._sender is not None:
                    await self._until(lambda: self._sender is None)
                else:
                    await self._transport.send(session.bulk_to_send())
                    await asyncio.sleep(0)
        finally:
            self._bulk_sender = None

    async def _receive_all(self, texts: AsyncIterator[str | bytes]) -> None:
        clock = asyncio.get_running_loop().time
        async for text in texts:
            if (session := self._session) is None:
                continue
            if self._on_text is not None:
                self._on_text(text)
            session.receive(text, clock())
            self._on_events()
            if not self._is_woken:
                self.flush_soon()
            self._arm_timer()
            if self.is_full:
                await self.room()

    async def _until(self, reached: Callable[[], bool]) -> None:
        """Wait until enough has been sent, or the session goes on elsewhere."""
        self._waiters += 1
        try:
            while self._session is not None and not reached():
                if self._progress is None:
                    self._progress = asyncio.Event()
                self._progress.clear()
                await self._progress.wait()
        finally:
            self._waiters -= 1

    def _made_progress(self) -> None:
        if self._waiters and self._progress is not None:
            self._progress.set()
            if self._session is not None:  # we don't read what else could show it
                self._session.other_side_is_alive()

    def _arm_timer(self) -> None:
        """Wake up when the session wants to, or earlier: a vain call does no harm."""
        due = None if self._session is None else self._session.next_timer()
        if due is not None and (self._timer is None or self._timer_due > due):
            if self._timer is not None:
                self._timer.cancel()
            self._timer_due = due
            self._timer = asyncio.get_running_loop().call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._session is not None:
            self._session.handle_timer(asyncio.get_running_loop().time())
            self._on_events()
            self.flush_soon()
            self._arm_timer()

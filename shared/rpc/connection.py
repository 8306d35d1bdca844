"""The pump between one session, which knows no I/O, and one transport."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

import structlog

from shared.rpc.transport import Transport

log = structlog.get_logger()

_LAST_TEXTS_SECONDS = 1.0
"""How long a slow reader may hold up a close, so that it still gets its last texts."""


MAX_BACKLOG_BYTES = 32_000_000
"""What may wait for a slow reader; one that has more waiting is closed."""
POLICY_VIOLATION = 1008


class Session(Protocol):
    """The part that the sessions of ``ddp`` have in common."""

    @property
    def has_texts_to_send(self) -> bool: ...
    def receive(self, text: str | bytes, now: float) -> None: ...
    def texts_to_send(self) -> list[bytes]: ...
    def next_timer(self) -> float | None: ...
    def handle_timer(self, now: float) -> None: ...


class Pump:
    """Moves texts and time between a session and a transport, until that is closed.

    ``on_events`` is called, never concurrently, whenever the session may have events;
    ``on_text`` with each text, before the session takes it in.
    """

    def __init__(
        self,
        session: Session,
        transport: Transport,
        on_events: Callable[[], None],
        on_text: Callable[[str | bytes], None] | None = None,
    ) -> None:
        self._session = session
        self._transport = transport
        self._on_events = on_events
        self._on_text = on_text
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._sending = False
        self._backlog: list[bytes] = []
        self._backlog_bytes = 0  # what is being sent at the moment counts too
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Work until the transport is closed. Being cancelled leaves it open."""
        async with asyncio.TaskGroup() as self._group:
            sender = self._group.create_task(self._send_forever())
            try:
                self.flush_soon()
                self._arm_timer()
                await self._receive_all()
            finally:
                sender.cancel()
                if self._timer is not None:
                    self._timer.cancel()

    def flush_soon(self) -> None:
        """Have the session's texts sent, together with all others of this moment."""
        if self._session.has_texts_to_send:
            if self._sending:
                self._take_texts()
                if self._backlog_bytes > MAX_BACKLOG_BYTES:
                    self._give_up()
            self._wake.set()

    async def flush(self) -> None:
        """Send the session's texts now; returns at once if somebody is about it."""
        if self._sending:
            return
        self._sending = True
        self._idle.clear()
        try:
            while texts := self._next_texts():
                size = self._backlog_bytes
                await self._transport.send(texts)
                self._backlog_bytes -= size
        finally:
            self._sending = False
            self._idle.set()
            if self._backlog or self._session.has_texts_to_send:
                self._wake.set()  # we were cancelled: the sender goes on

    def _next_texts(self) -> list[bytes]:
        self._take_texts()
        texts, self._backlog = self._backlog, []
        return texts

    def _take_texts(self) -> None:
        texts = self._session.texts_to_send()
        self._backlog += texts
        self._backlog_bytes += sum(map(len, texts))

    def _give_up(self) -> None:
        """The other side reads too slowly for what is sent to it."""
        self._backlog.clear()
        self._backlog_bytes = 0
        if self._group is not None and not self._closing:
            self._closing = True
            log.warning("rpc.reader_too_slow", limit_bytes=MAX_BACKLOG_BYTES)
            self._group.create_task(self._transport.close(POLICY_VIOLATION, "reading too slowly"))

    def close_soon(self, code: int, reason: str) -> None:
        """Send what there is to send, then close the transport. The first call counts."""
        if self._group is not None and not self._closing:
            self._closing = True
            self._group.create_task(self._close(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_TEXTS_SECONDS):
                await self._idle.wait()
                await self.flush()
        await self._transport.close(code, reason)

    async def _send_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()

    async def _receive_all(self) -> None:
        session, loop = self._session, self._loop
        async for text in self._transport:
            if self._on_text is not None:
                self._on_text(text)
            session.receive(text, loop.time())
            self._on_events()
            if session.has_texts_to_send:
                self._wake.set()
            self._arm_timer()

    def _arm_timer(self) -> None:
        """Wake up when the session wants to, or earlier: a vain call does no harm."""
        due = self._session.next_timer()
        if due is not None and (self._timer is None or self._timer.when() > due):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._session.handle_timer(self._loop.time())
        self._on_events()
        self.flush_soon()
        self._arm_timer()

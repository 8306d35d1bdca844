"""Keeps one connection: has it made, and made again whenever it is lost."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
import structlog
from websockets.exceptions import WebSocketException

from shared.rpc.errors import ConnectionLost

log = structlog.get_logger()

Status = Literal["connecting", "connected", "waiting", "failed", "offline", "closed"]
"""As Meteor's: ``failed`` is for good, ``offline`` is by wish. ``closed`` is our own."""


class ConnectionStatus(msgspec.Struct, frozen=True):
    """How the connection is doing."""

    status: Status
    retry_count: int = 0
    """Attempts in a row that came to nothing, or to little."""
    retry_at: datetime | None = None
    """When ``waiting``: the time of the next attempt."""
    reason: Exception | None = None
    """Why the last attempt came to nothing; when ``connected``, why the login failed."""


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait before the next attempt; all in seconds."""

    base: float = 0.05
    """The first retry waits a random time up to this, each one after up to twice as long."""
    limit: float = 10.0
    """But never up to more than this."""
    stable: float = 1.0
    """A connection that lived this long was a success: the next retry is a first one."""

    def delay(self, failures: int) -> float:
        """Full jitter: a thousand clients that lost a server don't come back together."""
        ceiling = min(self.limit, self.base * 2 ** min(failures, 30))
        return random.uniform(0, ceiling)  # noqa: S311 -- not a secret


class Keeper:
    """The status of a connection, and the loop that keeps it."""

    def __init__(self, name: str, connect: Callable[[], Awaitable[None]], backoff: Backoff) -> None:
        """``connect`` makes a connection and serves it until it is lost.

        It tells of its progress by :meth:`welcomed`, :meth:`failed` and :meth:`retry_soon`.
        """
        self.now = ConnectionStatus("closed")
        self.last_error: Exception | None = None
        self._name = name
        self._connect = connect
        self._backoff = backoff
        self._failures = 0
        self._welcomed_at: float | None = None
        self._retry_at: float | None = None
        self._is_wanted = True
        self._wake = asyncio.Event()
        self._callbacks: list[Callable[[ConnectionStatus], object]] = []
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def is_wanted(self) -> bool:
        """Whether there should be a connection: False while offline, failed or closed."""
        return self._is_wanted

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        while True:
            if not self._is_wanted:
                await self._wake.wait()
            self._wake.clear()
            self._welcomed_at = self._retry_at = None
            self._set("connecting")
            await self._attempt()
            self.lost()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._retry_at):
                    await self._wake.wait()

    async def _attempt(self) -> None:
        try:
            await self._connect()
        except (OSError, WebSocketException) as error:
            self.last_error = error
            log.info("rpc.connect_failed", url=self._name, error=str(error) or repr(error))
        except Exception as error:
            self.last_error = error  # a bug, but what it ends is this connection only
            log.exception("rpc.connection_failed", url=self._name)

    # What the connection tells

    def welcomed(self) -> None:
        """The server takes us."""
        self._welcomed_at = asyncio.get_running_loop().time()
        if self._is_wanted:
            self.last_error = None
            self._set("connected")

    def lost(self) -> None:
        """There is no connection any more; may be told more than once."""
        if self._retry_at is not None or not self._is_wanted:
            return
        now = asyncio.get_running_loop().time()
        if self._welcomed_at is not None and now - self._welcomed_at >= self._backoff.stable:
            self._failures = 0
        delay = self._backoff.delay(self._failures)
        self._failures += 1
        self._retry_at = now + delay
        self._set("waiting", retry_at=datetime.now(UTC) + timedelta(seconds=delay))

    def login_failed(self, error: Exception) -> None:
        """The connection is there, but what should have come first went wrong."""
        self.last_error = error
        self._set(self.now.status)

    def retry_soon(self) -> None:
        """The next attempt has a reason of its own to be better: it need not wait."""
        self._wake.set()

    def failed(self, error: Exception) -> None:
        """Trying again is pointless."""
        self.last_error = error
        self._stop("failed")

    # What the application wants

    def disconnect(self) -> None:
        """Be ``offline`` until :meth:`reconnect`."""
        self._stop("offline")

    def close(self) -> None:
        """Be ``closed``."""
        self._stop("closed")

    def reconnect(self) -> None:
        """Connect now, if there is no connection and no attempt to make one."""
        if self.now.status in ("closed", "waiting", "offline", "failed"):
            self._is_wanted = True
            self._failures = 0
            self._set("connecting")
            self._wake.set()

    async def connected(self) -> None:
        """Wait until there is a connection.

        Raises:
            NegotiationFailed: the server speaks no version that we speak.
            ConnectionLost: the client is closed, or offline by its own wish.
        """
        while self.now.status != "connected":
            if self.now.status == "failed" and self.last_error is not None:
                raise self.last_error
            if self.now.status in ("closed", "offline"):
                raise ConnectionLost(f"the client is {self.now.status}", may_have_run=False)
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def on_status(self, callback: Callable[[ConnectionStatus], object]) -> None:
        """Have ``callback`` called with every new status."""
        self._callbacks.append(callback)

    # Inside

    def _stop(self, status: Status) -> None:
        self._is_wanted = False
        self._wake.clear()
        self._set(status)

    def _set(self, status: Status, *, retry_at: datetime | None = None) -> None:
        before = self.now
        self.now = ConnectionStatus(status, self._failures, retry_at, self.last_error)
        if self.now == before:
            return
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        for callback in tuple(self._callbacks):
            try:
                callback(self.now)
            except Exception:
                log.exception("rpc.callback_failed", status=status)

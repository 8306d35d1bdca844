"""A DDP client on asyncio that stays connected, and settles every call.

::

    async with Client("ws://127.0.0.1:8010/websocket") as client:
        await client.connected()
        answer = await client.call("system.echo", 5)

When the connection breaks, it is made again, and the server is asked for the session that
was there: then calls in flight get their answers, and subscriptions go on, as if nothing
had been. What happens otherwise is in docs/reference/ddp-client.md.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec
import structlog

from shared.rpc import trace
from shared.rpc.calling import Calling, OnProgress
from shared.rpc.connection import Pump
from shared.rpc.ddp.client import ClientSession, ClientSessionConfig
from shared.rpc.ddp.events import (
    ClientEvent,
    Closed,
    Complaint,
    DocumentEvent,
    MethodProgressed,
    MethodRaised,
    MethodReturned,
    NegotiationEnded,
    Renegotiating,
    SessionStarted,
    SubscriptionEnded,
    SubscriptionReady,
)
from shared.rpc.ejson import CustomType, Ejson
from shared.rpc.errors import CallTimeout, ConnectionLost, NegotiationFailed
from shared.rpc.keeper import Backoff, ConnectionStatus, Keeper, Status
from shared.rpc.login import Hook, LoginRunner
from shared.rpc.object_id import OBJECT_ID
from shared.rpc.subscribing import Collection, Handle, Subscribing, random_id
from shared.rpc.transport import (
    NORMAL_CLOSURE,
    Transport,
    TransportConfig,
    open_websocket,
)

log = structlog.get_logger()

Connect = Callable[[], Awaitable[Transport]]


class ClientConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a client connects and reconnects."""

    session: ClientSessionConfig = ClientSessionConfig()
    transport: TransportConfig = TransportConfig()
    backoff: Backoff = Backoff()
    resume_seconds: float = 15.0
    """After a drop, calls in flight wait this long for their session; 0: not at all."""
    queue_offline: bool = False
    """Whether a call without a connection waits for one, instead of failing at once."""
    login_seconds: float = 30.0
    """How long the hooks of ``on_connect`` may hold up everything else."""


class Client:
    """One connection to a DDP server, made again whenever it breaks."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
        custom_types: Iterable[CustomType] = (OBJECT_ID,),
        config: ClientConfig | None = None,
        connect: Connect | None = None,
    ) -> None:
        self.url = url
        self._config = config or ClientConfig()
        self._headers = headers
        self._connect = connect or self._open_websocket
        self._protocol = ClientSession(
            ejson=Ejson(custom_types), config=self._config.session, new_id=random_id
        )
        self._keeper = Keeper(url, self._connect_once, self._config.backoff)
        self._pump: Pump | None = None
        self._calling = Calling()
        self._subscribing = Subscribing(self._protocol, self._act_and_flush)
        self._login = LoginRunner(
            self._protocol,
            _FirstCaller(self._call),
            seconds=self._config.login_seconds,
            on_failure=self._keeper.login_failed,
            on_end=self._flush_soon,
        )
        self._resume_timer: asyncio.TimerHandle | None = None
        self._group = asyncio.TaskGroup()
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to connect, in the background."""
        await self._group.__aenter__()
        self._keeper.reconnect()
        self._running = self._group.create_task(self._keeper.run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection; calls in flight raise ``ConnectionLost``."""
        self._leave("the client was closed", keep_unsent=False)
        self._keeper.close()
        if self._pump is not None:
            self._pump.flush()  # the goodbye; a slow server must do without
        self._login.cancel()
        if self._running is not None:
            self._running.cancel()
        try:
            if isinstance(error, asyncio.CancelledError):
                await self._group.__aexit__(kind, error, traceback)
            else:  # the caller's own error leaves as it is, not in an ExceptionGroup
                await self._group.__aexit__(None, None, None)
        finally:
            self._subscribing.end(ConnectionLost("the client was closed", may_have_run=False))

    # Its connection

    @property
    def status(self) -> Status:
        """How the connection is doing, in a word."""
        return self._keeper.now.status

    @property
    def connection_status(self) -> ConnectionStatus:
        """How the connection is doing, with the time of the next attempt."""
        return self._keeper.now

    @property
    def last_error(self) -> Exception | None:
        """Why the last attempt to connect, or to log in, failed, if it did."""
        return self._keeper.last_error

    def on_status(self, callback: Callable[[ConnectionStatus], object]) -> None:
        """Have ``callback`` called with every new status."""
        self._keeper.on_status(callback)

    def on_connect(self, hook: Hook) -> None:
        """Have ``hook`` called at the beginning of each session, to log in.

        It is given what calls go through that are sent before all others, and everything
        else waits for it to end. An error of it becomes ``last_error``, and the rest goes on.
        A session that is resumed needs no login.
        """
        self._login.add(hook)

    async def connected(self) -> None:
        """Wait until the client is connected.

        Raises:
            NegotiationFailed: the server speaks no version that we speak.
            ConnectionLost: the client is closed, or offline by its own wish.
        """
        await self._keeper.connected()

    def disconnect(self) -> None:
        """Leave the server, and stay offline until :meth:`reconnect`.

        Calls that were sent raise ``ConnectionLost``; documents stay as they are.
        """
        self._leave("the client went offline", keep_unsent=self._config.queue_offline)
        self._keeper.disconnect()
        if self._pump is not None:
            self._pump.close_soon(NORMAL_CLOSURE, "")

    def reconnect(self) -> None:
        """Connect now, without waiting for the time of the next attempt."""
        if self.status != "closed":
            self._keeper.reconnect()

    # Calls, subscriptions, documents

    def call(
        self,
        name: str,
        *params: Any,
        deadline: float | None = None,
        retry: bool = False,
        wait: bool = False,
        updated: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Call a method and wait for its result; None if it has none.

        Cancelling this, or its deadline, has the method cancelled by a server that speaks
        ``tandem1``; with another one it may go on, and its answer is ignored.

        Args:
            deadline: seconds from now to wait for the answer; None for as long as it takes.
            retry: call it again after a drop also where the server has lost our session;
                for methods that do no harm when they run twice.
            wait: send it only when every call before is settled, and those after it only
                when it is.
            updated: return only when the documents that the method changed are here.
            on_progress: called with how much is done, of how much (or None), and a note;
                only a server that speaks ``tandem1`` can tell.

        Raises:
            MethodError: what the server answered.
            ConnectionLost: there is no connection, or it broke before the answer came.
            CallTimeout: no answer came in time.
            EjsonError: the parameters can't be written, or the result can't be read.
        """
        return self._call(name, params, deadline, retry, wait, updated, on_progress=on_progress)

    async def _call(
        self,
        name: str,
        params: tuple[Any, ...],
        deadline: float | None,
        retry: bool = False,
        wait: bool = False,
        updated: bool = False,
        first: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Any:
        if not self._protocol.is_connected:
            self._check_that_calls_may_wait()
        call_id = self._protocol.call(
            name,
            params,
            retry=retry,
            wait=wait,
            updated=updated,
            first=first,
            deadline=deadline,
            traceparent=trace.current(),
        )
        loop = asyncio.get_running_loop()
        answer = self._calling.begin(call_id, on_progress)
        timer = None
        if deadline is not None:
            timer = loop.call_later(deadline, self._time_out, call_id, name, deadline)
        try:
            if len(self._calling) == 1 and self._pump is not None:
                self._pump.flush()  # a call alone has nobody to share a packet with
            else:
                self._flush_soon()
            return await answer
        finally:
            if timer is not None:
                timer.cancel()
            if self._calling.end(call_id):
                self._protocol.forget(call_id)
                self._act_and_flush()

    def subscribe(self, name: str, *params: Any) -> Handle:
        """Subscribe, over all connections to come, until it ends or is stopped.

        Raises:
            EjsonError: the parameters can't be written.
        """
        return self._subscribing.subscribe(name, params)

    def collection(self, name: str) -> Collection:
        """The documents of a collection that the server has sent."""
        return self._subscribing.collection(name)

    # Inside

    def _check_that_calls_may_wait(self) -> None:
        if self.status in ("closed", "failed") or not self._config.queue_offline:
            raise ConnectionLost(f"no connection to {self.url}", may_have_run=False)

    def _time_out(self, call_id: str, name: str, seconds: float) -> None:
        may_have_run = self._protocol.may_have_run(call_id)
        message = f"{name!r} gave no answer in {seconds:g} s"
        self._calling.fail(call_id, CallTimeout(message, may_have_run=may_have_run))

    def _act_and_flush(self) -> None:
        self._act_on_events()
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._pump is not None:
            self._pump.flush_soon()

    async def _open_websocket(self) -> Transport:
        headers = self._headers() if callable(self._headers) else self._headers or {}
        return await open_websocket(self.url, headers=headers, config=self._config.transport)

    async def _connect_once(self) -> None:
        try:
            transport = await self._connect()
        except ConnectionRefusedError:
            # nobody listens there, so that nobody knows our session any more
            self._give_up(f"{self.url} refuses connections")
            raise
        try:
            if self._keeper.is_wanted:
                await self._serve(transport)
        finally:
            await transport.close(NORMAL_CLOSURE, "")

    async def _serve(self, transport: Transport) -> None:
        self._protocol.connection_made(asyncio.get_running_loop().time())
        self._pump = Pump(self._protocol, transport, self._act_on_events)
        try:
            await self._pump.run()
        finally:
            self._pump = None
            self._keeper.lost()
            self._wait_for_resumption()
            self._protocol.connection_lost()
            self._act_on_events()

    def _wait_for_resumption(self) -> None:
        if self._resume_timer is None and self._protocol.is_connected:
            self._resume_timer = asyncio.get_running_loop().call_later(
                self._config.resume_seconds, self._give_up, "the connection broke"
            )

    def _give_up(self, reason: str) -> None:
        self._protocol.give_up(reason, keep_unsent=self._config.queue_offline)
        self._act_on_events()

    def _leave(self, reason: str, *, keep_unsent: bool) -> None:
        self._stop_waiting_for_resumption()
        self._protocol.leave(reason, keep_unsent=keep_unsent)
        self._act_on_events()

    def _stop_waiting_for_resumption(self) -> None:
        if self._resume_timer is not None:
            self._resume_timer.cancel()
            self._resume_timer = None

    def _act_on_events(self) -> None:
        for event in self._protocol.events():
            self._act(event)

    def _act(self, event: ClientEvent) -> None:
        match event:
            case MethodReturned() | MethodRaised() | MethodProgressed():
                self._calling.act(event)
            case DocumentEvent() | SubscriptionReady() | SubscriptionEnded():
                self._subscribing.act(event)
            case _:
                self._act_on_session(event)

    def _act_on_session(
        self, event: SessionStarted | Renegotiating | NegotiationEnded | Complaint | Closed
    ) -> None:
        match event:
            case SessionStarted():
                self._stop_waiting_for_resumption()
                self._keeper.welcomed()
                self._login.session_started(self._group, is_resumed=event.is_resumed)
            case Renegotiating():
                self._keeper.retry_soon()
            case NegotiationEnded():
                error = NegotiationFailed(event.offered)
                self._keeper.failed(error)
                self._subscribing.end(error)
            case Complaint():
                log.warning("rpc.complaint", reason=event.reason, offending=event.offending)
            case Closed():
                if self._pump is not None:
                    self._pump.close_soon(event.code, event.reason)


class _FirstCaller:
    """Calls methods before all others of a session."""

    def __init__(self, call: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self._call = call

    def call(
        self, name: str, *params: Any, deadline: float | None = None, wait: bool = False
    ) -> Coroutine[Any, Any, Any]:
        return self._call(name, params, deadline, wait=wait, first=True)

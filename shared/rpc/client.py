"""A DDP client on asyncio that stays connected, and settles every call.

::

    async with Client("ws://127.0.0.1:8010/websocket") as client:
        await client.connected()
        answer = await client.call("system.echo", 5)
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

import msgspec
import structlog
from websockets.exceptions import WebSocketException

from shared.rpc.connection import Pump
from shared.rpc.ddp.client import ClientSession, ClientSessionConfig
from shared.rpc.ddp.events import (
    ClientEvent,
    Closed,
    Complaint,
    DocumentEvent,
    MethodRaised,
    MethodReturned,
    NegotiationEnded,
    SessionStarted,
    SubscriptionEnded,
    SubscriptionReady,
)
from shared.rpc.ejson import UNDEFINED, CustomType, Ejson
from shared.rpc.errors import CallTimeout, ConnectionLost, NegotiationFailed
from shared.rpc.subscribing import Collection, Handle, Observer
from shared.rpc.transport import (
    NORMAL_CLOSURE,
    Transport,
    TransportConfig,
    open_websocket,
)

log = structlog.get_logger()

Status = Literal["connecting", "connected", "waiting", "failed", "closed"]

Connect = Callable[[], Awaitable[Transport]]

_STABLE_SECONDS = 1.0
"""A connection that lived this long was a success: the next backoff starts anew."""


class ClientConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a client connects and reconnects."""

    session: ClientSessionConfig = ClientSessionConfig()
    transport: TransportConfig = TransportConfig()
    backoff_base: float = 0.05
    """Seconds; the n-th attempt in a row waits a random time up to ``base * 2**n``."""
    backoff_limit: float = 10.0
    """But never up to more seconds than this."""


class Client:
    """One connection to a DDP server, made again whenever it breaks."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
        custom_types: Iterable[CustomType] = (),
        config: ClientConfig | None = None,
        connect: Connect | None = None,
    ) -> None:
        self.url = url
        self.status: Status = "closed"
        self.last_error: Exception | None = None
        """Why the last attempt to connect failed, if it did."""
        self._config = config or ClientConfig()
        self._headers = headers
        self._connect = connect or self._open_websocket
        self._protocol = ClientSession(ejson=Ejson(custom_types), config=self._config.session)
        self._pump: Pump | None = None
        self._calls: dict[str, asyncio.Future[Any]] = {}
        self._handles: dict[str, Handle] = {}
        self._observers: dict[str, list[Observer]] = {}
        self._on_status: list[Callable[[Status], object]] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._group = asyncio.TaskGroup()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to connect, in the background."""
        await self._group.__aenter__()
        self._set_status("connecting")
        self._keeper = self._group.create_task(self._stay_connected())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection; calls in flight raise ``ConnectionLost``."""
        self._set_status("closed")
        if self._keeper is not None:
            self._keeper.cancel()
        try:
            if isinstance(error, asyncio.CancelledError):
                await self._group.__aexit__(kind, error, traceback)
            else:  # the caller's own error leaves as it is, not in an ExceptionGroup
                await self._group.__aexit__(None, None, None)
        finally:
            for handle in list(self._handles.values()):
                handle.ended(ConnectionLost("the client was closed", may_have_run=False))
            self._handles.clear()

    async def connected(self) -> None:
        """Wait until the client is connected.

        Raises:
            NegotiationFailed: the server speaks no version that we speak.
            ConnectionLost: the client is closed.
        """
        while self.status != "connected":
            if self.status == "failed" and self.last_error is not None:
                raise self.last_error
            if self.status == "closed":
                raise ConnectionLost("the client is closed", may_have_run=False)
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)

    def on_status(self, callback: Callable[[Status], object]) -> None:
        """Have ``callback`` called with every new status."""
        self._on_status.append(callback)

    async def call(self, name: str, *params: Any, deadline: float | None = None) -> Any:
        """Call a method and wait for its result; None if it has none.

        Cancelling it forgets the call: the method may go on, its answer is ignored.

        Args:
            deadline: seconds from now to wait for the answer; None for as long as it takes.

        Raises:
            MethodError: what the server answered.
            ConnectionLost: there is no connection, or it broke before the answer came.
            CallTimeout: no answer came in time.
            EjsonError: the parameters can't be written, or the result can't be read.
        """
        pump = self._pump
        if pump is None or self.status != "connected":
            raise ConnectionLost(f"no connection to {self.url}", may_have_run=False)
        call_id = self._protocol.call(name, params)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._calls[call_id] = answer
        timer = None
        if deadline is not None:
            timer = loop.call_later(deadline, _time_out, answer, name, deadline)
        try:
            if len(self._calls) == 1:
                await pump.flush()  # a call alone has nobody to share a packet with
            else:
                pump.flush_soon()
            return await answer
        finally:
            if timer is not None:
                timer.cancel()
            if self._calls.pop(call_id, None) is not None:
                self._protocol.forget(call_id)

    def subscribe(self, name: str, *params: Any) -> Handle:
        """Subscribe, over all connections to come, until it ends or is stopped.

        Raises:
            EjsonError: the parameters can't be written.
        """
        subscription_id = self._protocol.subscribe(name, params)
        handle = self._handles[subscription_id] = Handle(
            name, lambda: self._unsubscribe(subscription_id)
        )
        self._flush_soon()
        return handle

    def collection(self, name: str) -> Collection:
        """The documents of a collection that the server has sent."""
        observers = self._observers.setdefault(name, [])
        return Collection(name, self._protocol.documents(name), observers)

    # Inside

    def _unsubscribe(self, subscription_id: str) -> None:
        self._protocol.unsubscribe(subscription_id)
        self._act_on_events()
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._pump is not None:
            self._pump.flush_soon()

    async def _stay_connected(self) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._connect_once()
            except (OSError, WebSocketException) as error:
                self.last_error = error
                log.info("rpc.connect_failed", url=self.url, error=str(error) or repr(error))
            except Exception as error:
                self.last_error = error  # a bug, but what it ends is this connection only
                log.exception("rpc.connection_failed", url=self.url)
            if self.status == "failed":
                return
            failures = 0 if loop.time() - began >= _STABLE_SECONDS and failures else failures + 1
            self._set_status("waiting")
            await asyncio.sleep(self._delay(failures))
            self._set_status("connecting")

    def _delay(self, failures: int) -> float:
        """Full jitter: a thousand clients that lost a server don't come back together."""
        ceiling = min(
            self._config.backoff_limit, self._config.backoff_base * 2 ** min(failures, 30)
        )
        return random.uniform(0, ceiling)  # noqa: S311 -- not a secret

    async def _open_websocket(self) -> Transport:
        headers = self._headers() if callable(self._headers) else self._headers or {}
        return await open_websocket(self.url, headers=headers, config=self._config.transport)

    async def _connect_once(self) -> None:
        transport = await self._connect()
        try:
            self._protocol.connection_made(asyncio.get_running_loop().time())
            self._pump = Pump(self._protocol, transport, self._act_on_events)
            await self._pump.run()
        finally:
            self._pump = None
            if self.status == "connected":
                self._set_status("waiting")
            for call_id in self._protocol.connection_lost():
                self._fail(call_id, ConnectionLost("the connection broke", may_have_run=True))
            await transport.close(NORMAL_CLOSURE, "")

    def _act_on_events(self) -> None:
        for event in self._protocol.events():
            self._act(event)

    def _act(self, event: ClientEvent) -> None:
        match event:
            case MethodReturned():
                answer = self._calls.pop(event.id, None)
                if answer is not None and not answer.done():
                    answer.set_result(None if event.result is UNDEFINED else event.result)
            case MethodRaised():
                self._fail(event.id, event.error)
            case DocumentEvent():
                for observer in tuple(self._observers.get(event.collection, ())):
                    self._observe(observer, event)
            case SubscriptionReady() | SubscriptionEnded():
                self._act_on_subscription(event)
            case SessionStarted() | NegotiationEnded() | Complaint() | Closed():
                self._act_on_session(event)

    def _act_on_subscription(self, event: SubscriptionReady | SubscriptionEnded) -> None:
        handle = self._handles.get(event.id)
        if handle is None:
            return
        if isinstance(event, SubscriptionReady):
            handle.became_ready()
        else:
            del self._handles[event.id]
            handle.ended(event.error)

    def _act_on_session(
        self, event: SessionStarted | NegotiationEnded | Complaint | Closed
    ) -> None:
        match event:
            case SessionStarted():
                self.last_error = None
                self._set_status("connected")
            case NegotiationEnded():
                self.last_error = NegotiationFailed(event.offered)
                self._set_status("failed")
            case Complaint():
                log.warning("rpc.complaint", reason=event.reason, offending=event.offending)
            case Closed():
                if self._pump is not None:
                    self._pump.close_soon(event.code, event.reason)

    def _fail(self, call_id: str, error: Exception) -> None:
        answer = self._calls.pop(call_id, None)
        if answer is not None and not answer.done():
            answer.set_exception(error)

    def _observe(self, observer: Observer, event: DocumentEvent) -> None:
        try:
            observer(event.kind, event.id, event.fields)
        except Exception:
            log.exception("rpc.observer_failed", collection=event.collection)

    def _set_status(self, status: Status) -> None:
        if status == self.status:
            return
        self.status = status
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        for callback in tuple(self._on_status):
            try:
                callback(status)
            except Exception:
                log.exception("rpc.callback_failed", status=status)


def _time_out(answer: asyncio.Future[Any], name: str, seconds: float) -> None:
    if not answer.done():
        answer.set_exception(CallTimeout(f"{name!r} gave no answer in {seconds:g} s"))

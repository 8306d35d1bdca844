"""Runs one session of a server: its methods and publications, over all its connections."""

import asyncio
import contextvars
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import count
from typing import Any

from shared.rpc.cancelling import Cancelling
from shared.rpc.connection import POLICY_VIOLATION, Pump
from shared.rpc.context import MethodContext, Subscription
from shared.rpc.ddp import tandem
from shared.rpc.ddp.events import (
    Closed,
    Dropped,
    MethodCalled,
    MethodStopped,
    ServerEvent,
    Subscribed,
    Unsubscribed,
)
from shared.rpc.ddp.handshake import Greeting
from shared.rpc.ddp.remembered import Remembered
from shared.rpc.ddp.server import ServerSession
from shared.rpc.ddp.tandem_server import TandemSession
from shared.rpc.ddp.view import View
from shared.rpc.errors import MethodError
from shared.rpc.offer import Offer
from shared.rpc.session import Session, call_back, told
from shared.rpc.tasks import Tasks
from shared.rpc.transport import GOING_AWAY, NORMAL_CLOSURE, Peer, Transport

_METHODS_IN_A_ROW = 64
"""How many methods that never wait may run before the rest of the loop has its turn."""


class SessionRunner:
    """One session, from its first connection's greeting until it ends."""

    __slots__ = (
        *("_cancelling", "_context", "_is_introduced", "_offer", "_on_end", "_protocol"),
        *("_publishers", "_pump", "_reruns", "_subscriptions", "_tasks", "_timer"),
        *("evidence", "session"),
    )

    def __init__(
        self,
        offer: Offer,
        session_id: str,
        greeting: Greeting,
        peer: Peer,
        user_id: str | None,
        *,
        remembered: Remembered | None,
        on_end: Callable[["SessionRunner"], None],
    ) -> None:
        """``remembered`` is what the session knew that the client had before."""
        self._offer = offer
        self._on_end = on_end
        protocol = TandemSession if greeting.version == tandem.VERSION else ServerSession
        self._protocol = protocol(
            session_id,
            greeting.version,
            methods=offer.methods,
            publications=offer.publications,
            ejson=offer.ejson,
            config=offer.config,
            now=asyncio.get_running_loop().time(),
            strategies=offer.strategies,
            remembered=remembered,
        )
        self._pump: Pump | None = None  # None while there is no connection
        self._is_introduced = False
        self._context = contextvars.copy_context()
        self._tasks = Tasks(within=offer.tasks)
        self._subscriptions: dict[Subscribed, Subscription] = {}
        self._publishers: dict[Subscribed, asyncio.Task[None]] = {}
        self._reruns: dict[Subscribed, asyncio.Future[None]] = {}
        self._cancelling = Cancelling()
        self._timer: asyncio.TimerHandle | None = None  # while there is no connection
        self.evidence = user_id
        """Who its first connection was logged in as; only such a one may go on with it."""
        self.session = Session(
            session_id,
            peer=peer,
            user_id=user_id,
            close=self.close,
            forwarded_count=offer.forwarded_count,
        )

    @property
    def version(self) -> str:
        """The version that its client speaks."""
        return self._protocol.version

    # Connections come and go

    @property
    def is_waiting(self) -> bool:
        """Whether it has no connection, and might be resumed."""
        return self._pump is None and self._protocol.is_open

    async def carry(self, transport: Transport, texts: AsyncIterator[str | bytes]) -> None:
        """Go on over this connection until it is closed; then wait for another, or end."""
        pump = self._pump = Pump(
            self._protocol,
            transport,
            self._act_on_events,
            self._heard,
            marks=self._offer.marks,
            on_flood=self._flooded,
        )
        if not self._is_introduced:
            self._is_introduced = True
            self._introduce()
        try:
            await pump.run(texts)
        finally:
            if self._pump is pump:
                self._pump = None
                if self._protocol.is_open:
                    self._lost(transport.close_code)

    def resume(self, greeting: Greeting, peer: Peer) -> bool:
        """Prepare to go on over another connection; False if something would be missing.

        One that is still open, which the client has given up, is closed.
        """
        now = asyncio.get_running_loop().time()
        if not self._protocol.resume(greeting, now):
            return False
        self._disarm_timer()
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.let_go(NORMAL_CLOSURE, "the session goes on elsewhere")
        self.session.peer = peer
        return True

    def close(self, code: int, reason: str) -> None:
        """Send what there is to send, then close the connection. The session has ended."""
        self._protocol.close(code, reason)
        self._act_on_events()

    def legacy(self) -> Remembered | None:
        """What the client's next session must know of this one, which has ended."""
        return self._protocol.legacy()

    def start_universal(self, universal_id: str) -> None:
        """Start a publication that nobody asked for."""
        self._protocol.start_universal(universal_id)
        self._act_on_events()

    # What contexts and subscriptions need

    @property
    def view(self) -> View:
        return self._protocol.view

    def is_blocking(self, handler: MethodCalled | Subscribed) -> bool:
        return self._protocol.is_blocking(handler)

    def flush_soon(self) -> None:
        if self._pump is not None:
            self._pump.flush_soon()
        else:
            self._act_on_events()  # too much may wait by now

    def unblock(self, handler: MethodCalled | Subscribed) -> None:
        self._protocol.unblock(handler)
        if isinstance(handler, Subscribed):
            rerun = self._reruns.pop(handler, None)
            if rerun is not None and not rerun.done():
                rerun.set_result(None)
        self._act_on_events()
        self.flush_soon()

    def progress(self, call: MethodCalled, done: float, total: float | None, note: str) -> None:
        self._protocol.progress(call, done, total, note)
        self.flush_soon()

    def begin_write(self, call: MethodCalled) -> bool:
        return self._protocol.begin_write(call)

    def end_write(self, call: MethodCalled) -> None:
        self._protocol.end_write(call)
        self.flush_soon()

    def end_subscription(self, subscribed: Subscribed, error: MethodError | None) -> None:
        self.view.end(subscribed, error)
        self._stop(subscribed)
        self.flush_soon()

    async def set_user_id(self, user_id: str | None) -> None:
        self.session.user_id = user_id
        fresh = self.view.begin_rerun()
        try:
            for old in list(self._subscriptions):
                self._stop(old)
            for subscribed in fresh:
                if self.view.is_live(subscribed):
                    started = asyncio.get_running_loop().create_future()
                    self._reruns[subscribed] = started
                    self._start_publication(subscribed)
                    await started
        finally:
            self.view.end_rerun()

    # Inside

    def _act_on_events(self) -> None:
        for event in self._protocol.events():
            self._act(event)

    def _act(self, event: ServerEvent) -> None:
        match event:
            case MethodCalled():
                _ = self._start(self._run_methods(event))
            case MethodStopped():
                self._cancelling.stop(event.call, event.error)
            case Subscribed():
                self._start_publication(event)
            case Unsubscribed():
                self._stop(event.subscription)
            case Dropped():
                self._drop(event.code, event.reason)
            case Closed():
                self._end(event.code, event.reason)

    def _drop(self, code: int, reason: str) -> None:
        """The client is silent: the session has no use for this connection."""
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.let_go(code, reason)
            self._lost(None)

    def _lost(self, close_code: int | None) -> None:
        """There is no connection any more; ``close_code`` is what the client said to that."""
        if close_code == GOING_AWAY:
            self._protocol.leave()  # a browser leaves the page: nobody is there to come back
        elif self._offer.config.resume_timeout:
            self._protocol.detach()
        else:
            self._protocol.close(NORMAL_CLOSURE, "")
        self._act_on_events()
        self._arm_timer()

    def _arm_timer(self) -> None:
        """A pump does this while there is one."""
        due = self._protocol.next_timer()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._on_timer)

    def _disarm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        self._protocol.handle_timer(asyncio.get_running_loop().time())
        self._act_on_events()
        self._arm_timer()

    def _flooded(self) -> None:
        self.close(POLICY_VIOLATION, "reading too slowly")

    def _introduce(self) -> None:
        try:
            for hook in list(self._offer.on_connection):
                hook(self.session)
        except Exception as error:  # noqa: BLE001 -- told() logs it
            told(error, "rpc.connection_refused", session=self.session.id)
            self.session.close("internal error")
        for universal_id in list(self._offer.universal):
            self.start_universal(universal_id)

    def _heard(self, text: str | bytes) -> None:
        if self._offer.on_message:
            for hook in list(self._offer.on_message):
                call_back(functools.partial(hook, self.session, text))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # not the context of whoever unblocked: what they bound to it is theirs
        return self._tasks.start(work, self._context.copy())

    async def _run_methods(self, call: MethodCalled) -> None:
        """Run a method, and as long as none of them waits, all that are queued behind.

        That saves a task for each, and their answers travel together.
        """
        for number in count(1):
            if self._pump is not None and self._pump.is_full:
                await self._pump.room()  # a client that does not read gets nothing more to do
            await self._run_method(call)
            following = self._take_method()
            if following is None:
                break
            if contextvars.copy_context() != self._context:  # not fit for the next one
                self._act(following)
                break
            self.flush_soon()
            if number % _METHODS_IN_A_ROW == 0:
                await asyncio.sleep(0)
            call = following
        if self._pump is not None:
            self._pump.flush()
        else:
            self._act_on_events()

    def _take_method(self) -> MethodCalled | None:
        following = None
        for event in self._protocol.events():
            if following is None and isinstance(event, MethodCalled):
                following = event
            else:
                self._act(event)
        return following

    async def _run_method(self, call: MethodCalled) -> None:
        method, signature = self._offer.methods[call.name]
        try:
            self._offer.count("method", call.name, self.session)
            params = signature.check(call.params)
            if call.is_cancellable:
                with self._cancelling.scope(call):
                    result = await method(MethodContext(self, call), *params)
            else:
                result = await method(MethodContext(self, call), *params)
            self._protocol.method_done(call, result)
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            # something that the method waited for was cancelled; its caller must be told
            self._method_failed(call, RuntimeError(f"cancelled inside: {error!r}"))
        except Exception as error:  # noqa: BLE001 -- told() logs it
            self._method_failed(call, error)

    def _method_failed(self, call: MethodCalled, error: Exception) -> None:
        self._cancelling.ended(call)
        shown = told(error, "rpc.method_failed", method=call.name, session=self.session.id)
        self._protocol.method_failed(call, shown)

    def _start_publication(self, subscribed: Subscribed) -> None:
        subscription = Subscription(self, subscribed)
        self._subscriptions[subscribed] = subscription
        self._publishers[subscribed] = self._start(self._run_publication(subscribed, subscription))

    async def _run_publication(self, subscribed: Subscribed, subscription: Subscription) -> None:
        name, offer = subscribed.name, self._offer
        if name is None:
            publication, signature = offer.universal[subscribed.id]
        else:
            publication, signature = offer.publications[name]
        try:
            if name is not None and subscribed not in self._reruns:
                offer.count("subscription", name, self.session)
            params = signature.check(subscribed.params)
            if await publication(subscription, *params) is not None:
                raise TypeError(f"publication {name!r} must return None")
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            subscription.error(RuntimeError(f"cancelled inside: {error!r}"))
        except Exception as error:  # noqa: BLE001 -- error() logs it
            subscription.error(error)
        finally:
            self._publishers.pop(subscribed, None)
            self.unblock(subscribed)

    def _stop(self, subscribed: Subscribed) -> None:
        """A subscription has ended: tell its publisher, and end that."""
        subscription = self._subscriptions.pop(subscribed, None)
        if subscription is None:
            return
        subscription.stopped()
        publisher = self._publishers.pop(subscribed, None)
        if publisher is not None and publisher is not asyncio.current_task():
            publisher.cancel()

    def _end(self, code: int, reason: str) -> None:
        self._disarm_timer()
        if self._pump is not None:
            self._pump.close_soon(code, reason)
        self._on_end(self)
        for subscribed in list(self._subscriptions):
            self._stop(subscribed)
        self._tasks.cancel()
        self.session.ended()


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

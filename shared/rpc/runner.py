"""Runs one session of a server: its methods and publications, on its connection."""

import asyncio
import contextvars
import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import count
from typing import Any, Literal

import msgspec

from shared.rpc.connection import Pump
from shared.rpc.context import MethodContext, Subscription
from shared.rpc.ddp.events import (
    Closed,
    MethodCalled,
    ServerEvent,
    SessionStarted,
    Subscribed,
    Unsubscribed,
)
from shared.rpc.ddp.merge_box import Strategy
from shared.rpc.ddp.server import ServerConfig, ServerSession
from shared.rpc.ddp.view import View
from shared.rpc.ejson import Ejson
from shared.rpc.errors import MethodError
from shared.rpc.rate_limit import Call, RateLimiter
from shared.rpc.session import Session, call_back, told
from shared.rpc.signature import Signature
from shared.rpc.transport import NORMAL_CLOSURE, Peer, Transport

_METHODS_IN_A_ROW = 64
"""How many methods that never wait may run before the rest of the loop has its turn."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a server offers to each of its sessions."""

    methods: Mapping[str, tuple[Callable[..., Any], Signature]]
    publications: Mapping[str, tuple[Callable[..., Any], Signature]]
    universal: Mapping[str, tuple[Callable[..., Any], Signature]]
    """Publications that every session gets, by an id of the server's; more may come."""
    ejson: Ejson
    config: ServerConfig
    strategies: Mapping[str, Strategy]
    rate_limiter: RateLimiter
    forwarded_count: int
    on_connection: Sequence[Callable[[Session], None]]
    """Hooks; more may come, and some may go."""
    on_message: Sequence[Callable[[Session, str | bytes], None]]


class SessionRunner:
    """One session, from its connection's first byte to its last."""

    def __init__(
        self, offer: Offer, session_id: str, transport: Transport, peer: Peer, user_id: str | None
    ) -> None:
        self._offer = offer
        self._protocol = ServerSession(
            session_id,
            methods=offer.methods,
            publications=offer.publications,
            ejson=offer.ejson,
            config=offer.config,
            now=asyncio.get_running_loop().time(),
            strategies=offer.strategies,
        )
        self._pump = Pump(self._protocol, transport, self._act_on_events, self._heard)
        self._context = contextvars.copy_context()
        self._group = asyncio.TaskGroup()
        self._handlers: set[asyncio.Task[None]] = set()
        self._subscriptions: dict[Subscribed, Subscription] = {}
        self._publishers: dict[Subscribed, asyncio.Task[None]] = {}
        self._reruns: dict[Subscribed, asyncio.Future[None]] = {}
        self.session = Session(
            session_id,
            peer=peer,
            user_id=user_id,
            close=self.close,
            forwarded_count=offer.forwarded_count,
        )

    async def run(self) -> None:
        """Work until the connection is closed, then end everything that runs on it."""
        async with self._group:
            try:
                await self._pump.run()
            finally:
                self._end()

    def close(self, code: int, reason: str) -> None:
        """Send what there is to send, then close the connection."""
        self._protocol.close(code, reason)
        self._act_on_events()

    def start_universal(self, universal_id: str) -> None:
        """Start a publication that nobody asked for; not before the session has begun."""
        self._protocol.start_universal(universal_id)
        self._act_on_events()

    # What contexts and subscriptions need

    @property
    def view(self) -> View:
        return self._protocol.view

    def is_blocking(self, handler: MethodCalled | Subscribed) -> bool:
        return self._protocol.is_blocking(handler)

    def flush_soon(self) -> None:
        self._pump.flush_soon()

    def unblock(self, handler: MethodCalled | Subscribed) -> None:
        self._protocol.unblock(handler)
        if isinstance(handler, Subscribed):
            rerun = self._reruns.pop(handler, None)
            if rerun is not None and not rerun.done():
                rerun.set_result(None)
        self._act_on_events()
        self._pump.flush_soon()

    def begin_write(self, call: MethodCalled) -> bool:
        return self._protocol.begin_write(call)

    def end_write(self, call: MethodCalled) -> None:
        self._protocol.end_write(call)
        self._pump.flush_soon()

    def end_subscription(self, subscribed: Subscribed, error: MethodError | None) -> None:
        self.view.end(subscribed, error)
        self._stop(subscribed)
        self._pump.flush_soon()

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
            case Subscribed():
                self._start_publication(event)
            case Unsubscribed():
                self._stop(event.subscription)
            case SessionStarted():
                self._started()
            case Closed():
                self._pump.close_soon(event.code, event.reason)

    def _started(self) -> None:
        self._introduce()
        for universal_id in list(self._offer.universal):
            self.start_universal(universal_id)

    def _introduce(self) -> None:
        try:
            for hook in list(self._offer.on_connection):
                hook(self.session)
        except Exception as error:  # noqa: BLE001 -- told() logs it
            told(error, "rpc.connection_refused", session=self.session.id)
            self.session.close("internal error")

    def _heard(self, text: str | bytes) -> None:
        if self._offer.on_message and self._protocol.version:
            for hook in list(self._offer.on_message):
                call_back(functools.partial(hook, self.session, text))

    def _count(self, kind: Literal["method", "subscription"], name: str) -> None:
        """Let the rate limiter count a call; raises what the client is told if it refuses."""
        limiter, session = self._offer.rate_limiter, self.session
        if limiter.concerns(kind, name):
            call = Call(
                type=kind,
                name=name,
                user_id=session.user_id,
                connection_id=session.id,
                client_address=session.client_address,
            )
            limiter.check(call, asyncio.get_running_loop().time())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # not the context of whoever unblocked: what they bound to it is theirs
        task = self._group.create_task(work, context=self._context.copy())
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        return task

    async def _run_methods(self, call: MethodCalled) -> None:
        """Run a method, and as long as none of them waits, all that are queued behind.

        That saves a task for each, and their answers travel together.
        """
        for number in count(1):
            await self._run_method(call)
            following = self._take_method()
            if following is None:
                break
            if contextvars.copy_context() != self._context:  # not fit for the next one
                self._act(following)
                break
            self._pump.flush_soon()
            if number % _METHODS_IN_A_ROW == 0:
                await asyncio.sleep(0)
            call = following
        await self._pump.flush()

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
            self._count("method", call.name)
            params = signature.check(call.params)
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
                self._count("subscription", name)
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

    def _end(self) -> None:
        self._protocol.close(NORMAL_CLOSURE, "")
        self._protocol.events()
        for subscribed in list(self._subscriptions):
            self._stop(subscribed)
        for task in self._handlers:
            task.cancel()
        self.session.ended()


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

"""A DDP server on asyncio: runs methods and publications for any number of sessions.

::

    server = Server(methods={"echo": echo}, publications={"jobs.mine": jobs_mine})
    await server.serve(transport, peer)     # once per connection, until it is closed

A method that raises :class:`~shared.rpc.errors.MethodError` says what its caller is told;
any other exception is logged, and the caller is told 500.

A session outlives its connection for a while, so that a client that comes back in time goes
on with it as if nothing had happened. When it ends, its methods and publications are
cancelled.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from shared.rpc.connection import Marks
from shared.rpc.context import MethodContext, Subscription
from shared.rpc.ddp.config import ServerConfig
from shared.rpc.ddp.handshake import Greeting, read_greeting
from shared.rpc.ddp.merge_box import Strategy
from shared.rpc.ddp.random_stream import ID_ALPHABET
from shared.rpc.ejson import CustomType, Ejson
from shared.rpc.offer import Offer
from shared.rpc.rate_limit import RateLimiter, Rule
from shared.rpc.runner import SessionRunner
from shared.rpc.session import Session
from shared.rpc.sessions import Sessions
from shared.rpc.signature import Signature
from shared.rpc.tasks import Tasks
from shared.rpc.transport import GOING_AWAY, NORMAL_CLOSURE, Peer, Transport

Method = Callable[..., Awaitable[Any]]
"""``async def method(context: MethodContext, *params) -> result``

Parameters with annotations are checked and converted by them, as by ``msgspec.convert``.
A result of None is ``null``; one of ``ejson.UNDEFINED`` is no result.
"""

Publication = Callable[..., Awaitable[None]]
"""``async def publication(sub: Subscription, *params) -> None``"""

OnConnection = Callable[[Session], None]
OnMessage = Callable[[Session, str | bytes], None]

_ID_LENGTH = 17

_Hook = TypeVar("_Hook")


class Server:
    """The methods and publications on offer, and the sessions that use them."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        publications: Mapping[str, Publication] | None = None,
        *,
        custom_types: Iterable[CustomType] = (),
        config: ServerConfig | None = None,
        strategies: Mapping[str, Strategy] | None = None,
        universal: Iterable[Publication] = (),
        rate_limiter: RateLimiter | None = None,
        forwarded_count: int = 0,
        on_connection: OnConnection | None = None,
    ) -> None:
        """``strategies``: of each collection that is not published as ``SERVER_MERGE``.

        ``universal``: publications that every session gets without asking.
        ``rate_limiter``: without one, only logins are limited.
        ``forwarded_count``: proxies of our own before the server; they are asked who calls.
        """
        self._on_connection: list[OnConnection] = []
        self._on_message: list[OnMessage] = []
        self._universal: dict[str, tuple[Publication, Signature]] = {}
        self._config = config = config or ServerConfig()
        self._tasks = Tasks()
        self._offer = Offer(
            methods={name: (method, Signature(method)) for name, method in methods.items()},
            publications={
                name: (publication, Signature(publication))
                for name, publication in (publications or {}).items()
            },
            universal=self._universal,
            ejson=Ejson(custom_types),
            config=config,
            marks=Marks(config.outbox_high, config.outbox_low, config.outbox_limit),
            strategies=dict(strategies or {}),
            rate_limiter=rate_limiter or RateLimiter(),
            forwarded_count=forwarded_count,
            tasks=self._tasks,
            on_connection=self._on_connection,
            on_message=self._on_message,
        )
        self._sessions = Sessions(config.resume_timeout)
        self._serving: set[Transport] = set()
        self._greeting: set[Transport] = set()
        self._none_left = asyncio.Event()
        self._is_closing = False
        if on_connection is not None:
            self._on_connection.append(on_connection)
        for publication in universal:
            self.add_universal(publication)

    @property
    def connections(self) -> int:
        """How many connections are being served now."""
        return len(self._serving)

    @property
    def sessions(self) -> int:
        """How many sessions there are, those included that wait for their client."""
        return len(self._sessions)

    async def serve(
        self, transport: Transport, peer: Peer | None = None, *, user_id: str | None = None
    ) -> None:
        """Serve one connection until it is closed. Being cancelled closes it (1001).

        ``user_id`` is who is logged in from the start, for instance by a cookie. A client
        goes on with a session only if it is the same as when that began.
        """
        self._serving.add(transport)
        try:
            if not self._is_closing:
                await self._serve(transport, peer or Peer(), user_id)
        finally:
            self._serving.discard(transport)
            if not self._serving:
                self._none_left.set()
            await transport.close(GOING_AWAY, "the server is closing")

    def on_connection(self, hook: OnConnection) -> Callable[[], None]:
        """Have ``hook`` called with every new session; returns what ends that."""
        return _added(self._on_connection, hook)

    def on_message(self, hook: OnMessage) -> Callable[[], None]:
        """Have ``hook`` called with every text of a session, as it came, before it acts.

        Not with its ``connect``. Returns what ends that.
        """
        return _added(self._on_message, hook)

    def add_universal(self, publication: Publication) -> None:
        """Publish to every session, now and later. No client hears ``ready`` or ``nosub`` of it."""
        universal_id = str(len(self._universal))
        self._universal[universal_id] = (publication, Signature(publication))
        for runner in self._sessions:
            runner.start_universal(universal_id)

    async def close(self) -> None:
        """Close every session (1001), accept no new one, and wait until all have ended."""
        self._is_closing = True
        for runner in self._sessions:
            runner.close(GOING_AWAY, "the server is closing")
        self._sessions.stop()
        async with asyncio.TaskGroup() as group:
            for transport in self._greeting:
                group.create_task(transport.close(GOING_AWAY, "the server is closing"))
            group.create_task(self._tasks.ended())
            while self._serving:
                self._none_left.clear()
                await self._none_left.wait()

    # Inside

    async def _serve(self, transport: Transport, peer: Peer, user_id: str | None) -> None:
        texts = aiter(transport)
        greeting = await self._greeted(transport, texts)
        if greeting is None:
            return
        runner = self._sessions.resume(greeting, peer, user_id)
        if runner is None:
            session_id = _new_id()
            runner = SessionRunner(
                self._offer,
                session_id,
                greeting,
                peer,
                user_id,
                remembered=self._sessions.legacy(greeting, user_id, session_id),
                on_end=self._sessions.ended,
            )
            self._sessions.add(runner)
        try:
            await runner.carry(transport, texts)
        finally:
            if runner.is_waiting:
                self._sessions.wait_for(runner)

    async def _greeted(
        self, transport: Transport, texts: AsyncIterator[str | bytes]
    ) -> Greeting | None:
        """How the client introduces itself; None if it does not, and is not welcome."""
        config = self._config
        self._greeting.add(transport)
        try:
            async with asyncio.timeout(config.connect_timeout):
                async for text in texts:
                    found = read_greeting(
                        text, versions=config.versions, max_depth=config.max_depth
                    )
                    if isinstance(found, Greeting):
                        return found
                    await transport.send([found.text])
                    if found.is_final:
                        await transport.close(NORMAL_CLOSURE, "")
                        break
        except TimeoutError:
            await transport.close(NORMAL_CLOSURE, "no connect message")
        finally:
            self._greeting.discard(transport)
        return None


def _added(hooks: list[_Hook], hook: _Hook) -> Callable[[], None]:
    hooks.append(hook)

    def stop() -> None:
        with contextlib.suppress(ValueError):
            hooks.remove(hook)

    return stop


def _new_id() -> str:
    """A session id as Meteor's ``Random.id()`` makes them: 98 bits."""
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(_ID_LENGTH))


__all__ = [
    "Method",
    "MethodContext",
    "Publication",
    "RateLimiter",
    "Rule",
    "Server",
    "ServerConfig",
    "Session",
    "Strategy",
    "Subscription",
]

"""The sessions over HTTP, by the names that their clients have chosen."""

import asyncio
import hmac
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog

from shared.rpc.transport import Peer, Transport
from web_service.sockjs.config import SockJsConfig
from web_service.sockjs.session import PollingSession

log = structlog.get_logger()


class Serve(Protocol):
    """Serves a connection from its beginning to its end."""

    async def __call__(
        self, transport: Transport, peer: Peer, /, *, user_id: str | None = None
    ) -> None: ...


Admit = Callable[[Peer], Callable[[], None]]
"""Counts a session; returns what counts it out. Raises if there may not be another one."""


class Caller(NamedTuple):
    """Who sent a request."""

    peer: Peer
    token: str
    """Their login; whoever uses a session must show the one that it was opened with."""


class TooManySessions(Exception):
    """There is no room for another one."""


class _Entry(NamedTuple):
    session: PollingSession
    token: str


class Sessions:
    """Opens sessions, serves them in the background, and forgets them when they are over."""

    def __init__(self, serve: Serve, config: SockJsConfig, admit: Admit) -> None:
        self._serve = serve
        self._config = config
        self._admit = admit
        self._entries: dict[str, _Entry] = {}
        self._group: asyncio.TaskGroup | None = None

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    async def run(self) -> None:
        """Serve what is opened, until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                await asyncio.get_running_loop().create_future()
        finally:
            for entry in list(self._entries.values()):
                entry.session.end()

    def find(self, name: str, token: str) -> PollingSession | None:
        """The session of that name, unless it belongs to another login.

        The name alone is no proof of who asks: a page could make somebody's browser open a
        session under a name that it knows.
        """
        entry = self._entries.get(name)
        if entry is None or not _may_use(entry, token):
            return None
        return entry.session

    def open(self, name: str, caller: Caller, user_id: str | None) -> PollingSession:
        """A new session.

        Raises:
            TooManySessions: there are as many as there may be.
            Problem: the caller has as many as they may have.
        """
        assert self._group is not None, "run() runs from before the first request to the last"
        if len(self._entries) >= self._config.max_sessions:
            raise TooManySessions
        leave = self._admit(caller.peer)

        def over() -> None:
            leave()
            self._entries.pop(name, None)

        session = PollingSession(self._config, over)
        self._entries[name] = _Entry(session, caller.token)
        self._group.create_task(self._served(session, caller.peer, user_id))
        return session

    async def _served(self, session: PollingSession, peer: Peer, user_id: str | None) -> None:
        try:
            await self._serve(session, peer, user_id=user_id)
        except Exception:
            log.exception("sockjs.session_failed")
            await session.close(1011, "internal error")


def everybody(_peer: Peer) -> Callable[[], None]:
    """Admits whoever comes, and counts nobody."""
    return lambda: None


def _may_use(entry: _Entry, token: str) -> bool:
    return not entry.token or hmac.compare_digest(_bytes(entry.token), _bytes(token))


def _bytes(header: str) -> bytes:
    return header.encode(errors="surrogateescape")

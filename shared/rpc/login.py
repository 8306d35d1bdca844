"""What a client does at the beginning of each session, before anything else: log in.

::

    client = Client("wss://example.com/websocket")
    client.on_connect(PasswordLogin({"username": "ada"}, "secret"))
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

import structlog

from shared.rpc.ddp.client import ClientSession
from shared.rpc.errors import ConnectionLost, MethodError

log = structlog.get_logger()


class Caller(Protocol):
    """What a hook calls methods through: they are sent before all others."""

    def call(
        self, name: str, *params: Any, deadline: float | None = None, wait: bool = False
    ) -> Coroutine[Any, Any, Any]:
        """As ``Client.call``; with ``wait``, in its order among the calls of the login."""
        ...


Hook = Callable[[Caller], Awaitable[object]]
"""``async def hook(caller)``"""


class PasswordLogin:
    """Logs in to a server with Meteor's accounts: by password, then by the token it gets."""

    def __init__(self, user: Mapping[str, str], password: str) -> None:
        """``user``: one of ``{"username": …}``, ``{"email": …}`` and ``{"id": …}``."""
        self.user_id: str | None = None
        """Who is logged in."""
        self._user = dict(user)
        self._digest = hashlib.sha256(password.encode()).hexdigest()
        self._token: str | None = None

    async def __call__(self, caller: Caller) -> None:
        """Log in.

        Raises:
            MethodError: the server does not want this user.
        """
        if self._token is not None:
            try:
                await self._log_in(caller, {"resume": self._token})
            except MethodError:
                self._token = None  # it has expired, or was revoked
            else:
                return
        password = {"digest": self._digest, "algorithm": "sha-256"}
        await self._log_in(caller, {"user": self._user, "password": password})

    async def _log_in(self, caller: Caller, options: dict[str, Any]) -> None:
        result = await caller.call("login", options, wait=True)
        self.user_id, self._token = result["id"], result["token"]


class LoginRunner:
    """Runs the hooks of a client, once per session, while everything else waits."""

    def __init__(
        self,
        protocol: ClientSession,
        caller: Caller,
        *,
        seconds: float,
        on_failure: Callable[[Exception], None],
        on_end: Callable[[], None],
    ) -> None:
        """``seconds``: how long they may take together. ``on_end`` sends what waited."""
        self._protocol = protocol
        self._caller = caller
        self._seconds = seconds
        self._on_failure = on_failure
        self._on_end = on_end
        self._hooks: list[Hook] = []
        self._running: asyncio.Task[None] | None = None

    def add(self, hook: Hook) -> None:
        """From the next session on, run this one too, after those that are there."""
        self._hooks.append(hook)
        self._protocol.logs_in = True

    def session_started(self, group: asyncio.TaskGroup, *, is_resumed: bool) -> None:
        """Begin, unless a login of this session is done or goes on."""
        if not is_resumed:
            self.cancel()
        if not self._protocol.is_logged_in and self._running is None:
            self._running = group.create_task(self._run())

    def cancel(self) -> None:
        """What goes on, if anything, is of no use any more."""
        if self._running is not None:
            self._running.cancel()
            self._running = None

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                for hook in tuple(self._hooks):
                    await hook(self._caller)
        except Exception as error:
            if isinstance(error, ConnectionLost) and not self._protocol.is_connected:
                self._running = None
                return  # the next session, or this one once it is resumed, tries again
            log.exception("rpc.login_failed")
            self._on_failure(error)
        if self._running is asyncio.current_task():  # and no hook ignored that it was cancelled
            self._running = None
            self._protocol.logged_in()
            self._on_end()

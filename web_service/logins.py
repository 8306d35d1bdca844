"""The live connections of each login: they end with it, whoever ends it, and wherever."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from shared.models.session_store import SessionStore, Token, session_id
from shared.rpc.session import Session
from web_service.auth import token_of

log = structlog.get_logger()

_RETRY_SECONDS = 1.0
_KEY = "login"


class Logins:
    """Knows which connections were made with which login, and closes them with it.

    A login is named by the id of its session in the database; its token is kept nowhere.
    """

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._connections: dict[str, set[Session]] = {}
        self._unconfirmed: set[str] = set()
        self._has_unconfirmed = asyncio.Event()

    async def run(self) -> None:
        """Close the connections of logins that end, until cancelled."""
        async with asyncio.TaskGroup() as group:
            _ = group.create_task(self._follow())
            _ = group.create_task(self._confirm())

    def opened(self, connection: Session) -> None:
        """Remember a new connection, and the login that it came with, if it came with one."""
        if connection.user_id is not None:
            self.bind(connection, session_id(token_of(connection.peer.headers)))
        connection.on_close(lambda: self.unbind(connection))

    def bind(self, connection: Session, login: str) -> None:
        """``connection`` belongs to ``login`` from now on, and to no other one."""
        self.unbind(connection)
        connection.data[_KEY] = login
        self._connections.setdefault(login, set()).add(connection)
        # It may have ended between the look into the database and now.
        self._doubt({login})

    def unbind(self, connection: Session) -> None:
        """``connection`` belongs to no login any more."""
        login = connection.data.pop(_KEY, "")
        others = self._connections.get(login, set())
        others.discard(connection)
        if not others:
            self._connections.pop(login, None)

    def of(self, connection: Session) -> str:
        """The login that a connection belongs to; empty if it belongs to none."""
        return str(connection.data.get(_KEY, ""))

    @contextmanager
    def leaving(self, connection: Session) -> Iterator[str]:
        """Its login, to which ``connection`` does not belong any more, unless the block fails.

        So that the end of the login does not close the connection on which it is ended.
        """
        login = self.of(connection)
        self.unbind(connection)
        try:
            yield login
        except BaseException:
            if login:
                self.bind(connection, login)
            raise

    async def log_out(self, login: str) -> None:
        """End a login: its token is worth nothing from now on, its connections close."""
        await self._store.delete(login)
        self._end(login)

    async def log_out_others(self, user_id: ObjectId, login: str) -> None:
        """End every login of a user but this one."""
        await self._store.delete_others(user_id, login)

    async def log_out_everywhere(self, user_id: ObjectId) -> None:
        """End every login of a user."""
        await self._store.delete_all(user_id)

    async def renew(self, login: str) -> Token | None:
        """A further login of the same user, no longer valid than this one; None if it ended."""
        return await self._store.create_beside(login)

    def _end(self, login: str) -> None:
        for connection in list(self._connections.get(login, ())):
            connection.close("logged out")

    def _doubt(self, logins: set[str]) -> None:
        self._unconfirmed |= logins
        self._has_unconfirmed.set()

    async def _follow(self) -> None:
        async for ended in self._store.watch_ends():
            if ended is None:
                self._doubt(set(self._connections))
            else:
                self._end(ended)

    async def _confirm(self) -> None:
        """Ask the database about all that are in doubt; as many as there are, at once."""
        while await self._has_unconfirmed.wait():
            self._has_unconfirmed.clear()
            asked, self._unconfirmed = self._unconfirmed, set()
            asked &= self._connections.keys()
            try:
                alive = await self._store.alive(asked)
            except PyMongoError as error:
                log.warning("logins.unconfirmed", error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                self._doubt(asked)
            else:
                for login in asked - alive:
                    self._end(login)

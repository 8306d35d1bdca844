"""The MongoDB that the services use: one given by URL, one attached to, or one of our own."""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from scripts.environment import system
from scripts.supervisor import mongod
from scripts.supervisor.output import Output
from scripts.supervisor.service import Backoff, describe_exit
from settings.schema import mask

_POLL_SECONDS = 0.1
_REACH_MILLISECONDS = 5_000


class Database(Protocol):
    """What the supervisor needs of a database, whoever runs it."""

    @property
    def url(self) -> str:
        """Its connection string, once it is open."""

    async def open(self) -> None:
        """Make it usable.

        Raises:
            mongod.MongodUnavailable: it can't be; the message says why.
        """

    def restarts(self) -> AsyncIterator[None]:
        """Keep it usable; one item each time it had to be started again, for ever."""

    async def close(self, deadline_seconds: float) -> None:
        """Stop what was started."""

    def describe(self) -> str:
        """What it is and where, without a password."""


class GivenDatabase:
    """A replica set that somebody else runs."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        return self._url

    async def open(self) -> None:
        try:
            hello = await asyncio.to_thread(self._hello)
        except PyMongoError as error:
            reason = str(error).partition(", Timeout:")[0]
            raise mongod.MongodUnavailable(
                f"no MongoDB answers at {mask('mongo.url', self.url)}: {reason}"
            ) from None
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise mongod.MongodUnavailable(
                f"the MongoDB at {mask('mongo.url', self.url)} is no replica set: change streams "
                "and transactions need one. Start it with --replSet rs0 and run rs.initiate()."
            )

    async def restarts(self) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield  # never: whoever runs it restarts it

    async def close(self, deadline_seconds: float) -> None:
        del deadline_seconds  # it is not ours

    def describe(self) -> str:
        return f"{mask('mongo.url', self.url)} (given)"

    def _hello(self) -> dict[str, Any]:
        client: MongoClient[dict[str, Any]]
        with MongoClient(self.url, serverSelectionTimeoutMS=_REACH_MILLISECONDS) as client:
            return client.admin.command("hello")


class EmbeddedDatabase:
    """A mongod on a data directory: ours, or another script's while that one runs."""

    def __init__(self, data: Path, environ: Mapping[str, str], output: Output) -> None:
        self._data = data
        self._environ = environ
        self._output = output
        self._binary: mongod.Binary | None = None
        self._mongod: mongod.Mongod | None = None
        self._began = 0.0

    @property
    def url(self) -> str:
        assert self._mongod is not None
        return self._mongod.url

    async def open(self) -> None:
        try:
            (self._data / "db").mkdir(parents=True, exist_ok=True)
            lock = os.open(self._data, os.O_RDONLY)
        except OSError as error:
            message = f"the data can't be kept in {self._data}: {error.strerror}; see --data"
            raise mongod.MongodUnavailable(message) from error
        try:
            while (attached := mongod.attach(self._data)) is None and not _locks(lock):
                await asyncio.sleep(_POLL_SECONDS)  # another script is starting one
            self._mongod = attached or mongod.attach(self._data)
            if self._mongod is None:
                if self._binary is None:
                    self._binary = self._find()
                self._mongod = mongod.launch(self._binary, self._data)
                await asyncio.to_thread(mongod.wait_until_writable, self._mongod, self._data)
        finally:
            os.close(lock)
        self._began = time.monotonic()

    async def restarts(self) -> AsyncIterator[None]:
        backoff = Backoff()
        while True:
            assert self._mongod is not None
            while self._mongod.alive:
                await asyncio.sleep(_POLL_SECONDS)
            if (process := self._mongod.process) is not None:
                delay = backoff.after(time.monotonic() - self._began)
                self._say(
                    f"mongod {describe_exit(process.returncode)}; starting it again in {delay:g} s"
                )
                await asyncio.sleep(delay)
            else:
                self._say(f"mongod (pid {self._mongod.pid}, not ours) is gone; starting our own")
            try:
                await self.open()
            except mongod.MongodUnavailable as error:
                self._say(str(error))
            else:
                self._say(f"mongod is back: {self.describe()}")
                yield

    async def close(self, deadline_seconds: float) -> None:
        if self._mongod is not None:
            await asyncio.to_thread(self._mongod.stop, deadline_seconds)

    def describe(self) -> str:
        assert self._mongod is not None
        if self._binary is not None and self._mongod.ours:
            whose = f"mongod {self._binary.version} from {self._binary.origin}"
        else:
            whose = "attached to the mongod that was running"
        return f"{self.url} ({whose}, pid {self._mongod.pid})"

    def _find(self) -> mongod.Binary:
        try:
            return mongod.find(self._environ)
        except mongod.MongodUnavailable as error:
            packages = mongod.missing_libraries(str(error))
            if not packages or os.geteuid() != 0:
                raise
        system.apt_install(" ".join(packages), "by the mongod of the wheel")
        return mongod.find(self._environ)

    def _say(self, text: str) -> None:
        self._output.line("tandem", text.encode())


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""The web service inside the test's own process: all of it, but no jobs service behind."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from pymongo.asynchronous.change_stream import AsyncChangeStream

from settings import Settings
from shared.models.database import Database, Stage
from shared.models.types import Document
from shared.ops.background import running
from tests.support.waiting import eventually
from web_service import keys
from web_service.app import application, http_runner

_STREAMS = {"fs.files", "jobs", "sessions", "users"}


class Web:
    """A running web service."""

    def __init__(self, app: web.Application, port: int) -> None:
        self.app = app
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.websocket = f"ws://127.0.0.1:{port}/websocket"


@asynccontextmanager
async def running_web(
    database: Database, *, follows: bool = True, **settings: Mapping[str, Any]
) -> AsyncIterator[Web]:
    """Serve on a free port; ``settings`` by section, such as ``web={"forwardedCount": 1}``.

    ``follows``: whether it hears of changes in the database, which takes it a while to begin.
    """
    values = msgspec.convert({"environment": "development", **settings}, Settings)
    opened = _notice_change_streams(database)
    app = application(values, database, [], CollectorRegistry())
    runner = http_runner(app, values)
    await runner.setup()
    try:
        followers = (app[keys.ACCOUNTS], *app[keys.FEEDS]) if follows else ()
        async with running(*(follower.run() for follower in followers)):
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield Web(app, runner.addresses[0][1])
            await app[keys.DDP].close()
            # PyMongo leaves its socket behind when it is cancelled while it connects.
            await eventually(lambda: not follows or opened >= _STREAMS)
    finally:
        await runner.cleanup()


def _notice_change_streams(database: Database) -> set[str]:
    """The names of the collections whose changes are being watched from now on."""
    opened = set[str]()
    open_stream = database.changes

    @asynccontextmanager
    async def changes(
        collection: str, pipeline: Sequence[Stage], resume_after: Mapping[str, Any] | None
    ) -> AsyncIterator[AsyncChangeStream[Document]]:
        async with open_stream(collection, pipeline, resume_after) as stream:
            opened.add(collection)
            yield stream

    database.changes = changes  # type: ignore[method-assign]
    return opened

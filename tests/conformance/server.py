"""The conformance peer: a DDP server with one method or publication for each thing to check.

``python -m tests.conformance.server --port N``; any DDP client can be tried against it. The
texts that it sends are those of a Meteor server with the same methods.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

import aiohttp.web
from bson import ObjectId

from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ejson import UNDEFINED, Regexp
from shared.rpc.errors import MethodError
from shared.rpc.object_id import OBJECT_ID
from shared.rpc.rate_limit import RateLimiter, Rule, each
from shared.rpc.server import MethodContext, Server, ServerConfig, Strategy, Subscription
from web_service.api.websocket import accept
from web_service.problems import problem_middleware
from web_service.sockjs.config import SockJsConfig
from web_service.sockjs.endpoint import SockJs
from web_service.sockjs.sessions import everybody

OID = "aabbccddeeff001122334455"
MOMENT = datetime.fromtimestamp(1_700_000_000, UTC)
FIVE = datetime.fromtimestamp(0.005, UTC)
LIMIT = Rule(limit=3, seconds=1, type="method", name="echo", connection_id=each)
_RECORDS, _RECORD_LENGTH = 10_000, 200
PATHS = ("/websocket", "/websocket/")
CLIENT_URL = "/sockjs.js"
"""Named by SockJS's iframe page; the peer itself has no such file."""


class Records:
    """What the slow methods and publications did, since last asked."""

    def __init__(self) -> None:
        self._records: list[str] = []

    async def slow(self, _context: MethodContext, ms: int | float, tag: str) -> str:
        await self.wait(ms, tag)
        return tag

    async def slow_unblock(self, context: MethodContext, ms: int | float, tag: str) -> str:
        context.unblock()
        await self.wait(ms, tag)
        return tag

    async def slow_publication(self, sub: Subscription, ms: int | float) -> None:
        await self.wait(ms, "pub", "{1} {0}")
        sub.ready()

    async def slow_publication_unblocked(self, sub: Subscription, ms: int | float) -> None:
        sub.unblock()
        await self.wait(ms, "pubU", "{1} {0}")
        sub.ready()

    async def seq(self, _context: MethodContext) -> list[str]:
        records, self._records = self._records, []
        return records

    async def wait(self, ms: int | float, tag: str, form: str = "{0} {1}") -> None:
        self._record(form.format("start", tag))
        await asyncio.sleep(ms / 1000)
        self._record(form.format("end", tag))

    def _record(self, text: str) -> None:
        self._records.append(text[:_RECORD_LENGTH])
        del self._records[:-_RECORDS]


class Items:
    """The collection ``items``, and everybody who sees it."""

    def __init__(self) -> None:
        self._subs: dict[Subscription, bool] = {}  # → whether it still has document b

    async def publish(self, sub: Subscription) -> None:
        fields = {"n": 1, "gone": "x", "at": MOMENT, "user": sub.user_id}
        sub.added("items", "a", fields)
        sub.added("items", "b", {"n": 1})
        self._subs[sub] = True
        sub.on_stop(lambda: self._subs.pop(sub, None))
        sub.ready()

    async def touch(self, _context: MethodContext) -> Any:
        for sub, has_b in self._subs.items():
            sub.changed("items", "a", {"n": 2, "gone": UNDEFINED})
            if has_b:
                sub.removed("items", "b")
                self._subs[sub] = False
        return UNDEFINED

    async def write(self, context: MethodContext, ms: int | float) -> str:
        write = context.begin_write()

        def publish() -> None:
            with write:
                for sub in self._subs:
                    sub.changed("items", "a", {"w": ms})

        asyncio.get_running_loop().call_later(ms / 1000, publish)
        return "written"


# Methods


async def echo(_context: MethodContext, *values: Any) -> list[Any]:
    return list(values)


async def add(_context: MethodContext, a: int | float, b: int | float) -> int | float:
    return a + b


async def boom(_context: MethodContext) -> NoReturn:
    raise RuntimeError("a secret")


async def throw_str(_context: MethodContext) -> NoReturn:
    raise Exception("a thrown text")  # Python throws nothing but exceptions


async def drop(context: MethodContext) -> str:
    asyncio.get_running_loop().call_soon(context.session.close)  # behind the answer
    return "dropping"


async def rand(context: MethodContext) -> list[Any]:
    return [context.random_seed, context.random_stream("/collection/x").id()]


async def set_user(context: MethodContext, user_id: str | None) -> Any:
    await context.set_user_id(user_id)
    return UNDEFINED


async def who(context: MethodContext) -> str | None:
    return context.user_id


async def conn(context: MethodContext) -> dict[str, Any]:
    session = context.session
    return {"id": session.id, "addr": session.client_address, "h": list(session.http_headers)}


def answering(value: Any) -> Callable[[MethodContext], Any]:
    """A method that always has the same result."""

    async def method(_context: MethodContext) -> Any:
        return value

    return method


def failing(*error: Any) -> Callable[[MethodContext], Any]:
    """A method, or a publication, that always fails in the same way."""

    async def method(_context: Any) -> NoReturn:
        raise MethodError(*error)

    return method


# Publications


async def items2(sub: Subscription) -> None:
    sub.added("items", "a", {"n": 1, "extra": "e", "n2": 5})
    sub.added("items", "c", {})
    sub.ready()


async def oids(sub: Subscription) -> None:
    sub.added("items", ObjectId(OID), {"x": 1})
    sub.added("items", OID, {"x": 2})
    sub.added("items", 5, {"x": 3})
    sub.added("items", "-dash", {})
    sub.added("items", "", {})
    sub.ready()


async def crashing(_sub: Subscription) -> NoReturn:
    raise RuntimeError("a secret")


async def stopping(sub: Subscription) -> None:
    sub.added("items", "s", {})
    sub.stop()


async def erroring(sub: Subscription) -> None:
    sub.added("items", "s", {})
    sub.error(MethodError("later", "err"))


async def badret(_sub: Subscription) -> Any:
    return 5


async def neverready(sub: Subscription) -> None:
    sub.added("items", "z", {})


async def emptychange(sub: Subscription) -> None:
    sub.added("items", "e", {"n": 1})
    sub.changed("items", "e", {})
    sub.ready()


async def badchange(sub: Subscription) -> None:
    sub.changed("items", "nowhere", {"n": 1})
    sub.ready()


async def nomerge(sub: Subscription, strategy: str) -> None:
    collection = f"nm_{strategy}"
    sub.added(collection, "a", {"n": 1})
    sub.added(collection, "a", {"n": 1, "m": 2})
    sub.changed(collection, "a", {"n": 1})
    sub.ready()


def ddp_server(*, heartbeat: float | None = None, limit: bool = False, **config: Any) -> Server:
    """The peer's methods and publications, with a state of its own.

    ``config``: of :class:`ServerConfig`.
    """
    records, items = Records(), Items()
    beat = HeartbeatConfig()
    if heartbeat is not None:
        beat = HeartbeatConfig(interval=heartbeat, timeout=heartbeat)
    return Server(
        {
            "echo": echo,
            "add": add,
            "nothing": answering(UNDEFINED),
            "nul": answering(None),
            "fail": failing("bad-thing", "It went wrong", {"why": 42, "at": MOMENT}),
            "failBare": failing("bare"),
            "failNum": failing(403, "Forbidden"),
            "boom": boom,
            "clientSafe": failing("cs", "r", "d"),
            "sanitized": failing(400, "Match failed"),
            "throwStr": throw_str,
            "slow": records.slow,
            "slowUnblock": records.slow_unblock,
            "seq": records.seq,
            "write": items.write,
            "touch": items.touch,
            "drop": drop,
            "rand": rand,
            "setUser": set_user,
            "who": who,
            "conn": conn,
            "bin": answering(b"\x01\x02\x03"),
            "inf": answering([float("inf"), float("-inf"), float("nan")]),
            "oid": answering(ObjectId(OID)),
            "re": answering(Regexp("a.b", "gi")),
            "lit": answering({"$date": 5}),
            "dt": answering({"a": [FIVE]}),
        },
        {
            "items": items.publish,
            "items2": items2,
            "oids": oids,
            "failing": failing("pub-bad", "no"),
            "crashing": crashing,
            "stopping": stopping,
            "erroring": erroring,
            "badret": badret,
            "slowpub": records.slow_publication,
            "slowpubU": records.slow_publication_unblocked,
            "neverready": neverready,
            "emptychange": emptychange,
            "badchange": badchange,
            "nomerge": nomerge,
        },
        custom_types=[OBJECT_ID],
        config=ServerConfig(heartbeat=beat, **config),
        strategies={f"nm_{strategy.name}": strategy for strategy in Strategy},
        rate_limiter=RateLimiter([LIMIT]) if limit else None,
    )


def application(
    ddp: Server, *, max_bytes: int = 16_000_000, user_id: str | None = None
) -> aiohttp.web.Application:
    """An aiohttp application that serves ``ddp`` where Meteor does, to this user."""

    async def serve(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        return await accept(
            request, ddp.serve, admit=everybody, user_id=that_user, max_message_bytes=max_bytes
        )

    async def that_user(_request: aiohttp.web.Request) -> str | None:
        return user_id

    async def close(_app: aiohttp.web.Application) -> None:
        await ddp.close()

    app = aiohttp.web.Application(middlewares=[problem_middleware])
    app.add_routes([aiohttp.web.get(path, serve) for path in PATHS])
    app.on_shutdown.append(close)
    SockJs(
        ddp.serve,
        user_id=that_user,
        origin_allowed=lambda _headers: True,
        config=SockJsConfig(max_message_bytes=max_bytes, client_url=CLIENT_URL),
    ).add_to(app)
    return app


def main(arguments: list[str]) -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 picks a free one")
    parser.add_argument("--heartbeat", type=float, metavar="SECONDS")
    parser.add_argument("--limit", action="store_true", help="echo: 3 in a second")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    app = application(ddp_server(heartbeat=given.heartbeat, limit=given.limit))
    aiohttp.web.run_app(
        app,
        host=given.host,
        port=given.port,
        handler_cancellation=True,
        print=lambda text: print(text, flush=True),
    )


if __name__ == "__main__":
    main(sys.argv[1:])

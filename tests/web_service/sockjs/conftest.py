"""SockJS endpoints on a free port: one that echoes, and one that closes what is opened."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp
import pytest
from aiohttp import web

from shared.rpc.transport import Peer, Transport
from web_service.problems import problem_middleware
from web_service.sockjs.config import SockJsConfig
from web_service.sockjs.endpoint import SockJs
from web_service.sockjs.sessions import Admit, Serve, everybody

LIMITS: dict[str, Any] = {"response_bytes": 4096, "client_url": "/lib/sockjs.js"}
"""As the protocol's own tests want them."""


async def echo(transport: Transport, _peer: Peer, *, user_id: str | None = None) -> None:
    async for text in transport:
        assert isinstance(text, str)
        await transport.send([text.encode()])


async def go_away(transport: Transport, _peer: Peer, *, user_id: str | None = None) -> None:
    await transport.close(3000, "Go away!")


async def nobody(_request: web.Request) -> str | None:
    return None


def any_origin(_headers: Mapping[str, str]) -> bool:
    return True


class Stream:
    """A response that is read while it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.status = response.status
        self.headers = response.headers

    async def read(self, frame: bytes) -> None:
        """The next bytes are these."""
        assert await self.response.content.readexactly(len(frame)) == frame

    async def rest(self) -> bytes:
        return await self.response.content.read()

    def abort(self) -> None:
        self.response.close()


class Base:
    """One endpoint, as a client sees it."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    @classmethod
    @asynccontextmanager
    async def of(cls, *endpoints: SockJs) -> AsyncIterator[Self]:
        """The address of an application with these endpoints."""
        app = web.Application(middlewares=[problem_middleware])
        for endpoint in endpoints:
            endpoint.add_to(app)
        runner = web.AppRunner(app, handler_cancellation=True, auto_decompress=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            async with aiohttp.ClientSession() as http:
                yield cls(http, f"http://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()

    def at(self, path: str) -> "Base":
        return Base(self.http, self.url + path)

    def session(self) -> "Base":
        return self.at(f"/000/{uuid.uuid4()}")

    async def ask(
        self,
        method: str,
        path: str,
        body: str | AsyncIterator[bytes] | None = None,
        **headers: str,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers; an underscore in a header's name stands for a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, self.url + path, data=body, headers=named) as answer:
            return answer.status, await answer.read(), answer.headers

    async def get(self, path: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
        return await self.ask("GET", path, **headers)

    async def poll(self, path: str = "/xhr", **headers: str) -> bytes:
        status, body, _ = await self.ask("POST", path, **headers)
        assert status == 200
        return body

    async def send(self, body: str | AsyncIterator[bytes], **headers: str) -> None:
        status, answer, _ = await self.ask("POST", "/xhr_send", body, **headers)
        assert (status, answer) == (204, b"")

    @asynccontextmanager
    async def stream(self, method: str, path: str, **headers: str) -> AsyncIterator[Stream]:
        async with self.http.request(method, self.url + path, headers=headers) as response:
            yield Stream(response)


def endpoint(
    serve: Serve = echo,
    *,
    user_id: Callable[[web.Request], Awaitable[str | None]] = nobody,
    origin_allowed: Callable[[Mapping[str, str]], bool] = any_origin,
    admit: Admit = everybody,
    **options: Any,
) -> SockJs:
    config = SockJsConfig(**(LIMITS | options))
    return SockJs(serve, user_id=user_id, origin_allowed=origin_allowed, admit=admit, config=config)


@pytest.fixture
async def top() -> AsyncIterator[Base]:
    async with Base.of(
        endpoint(prefix="/echo"), endpoint(go_away, prefix="/close", client_url="")
    ) as base:
        yield base


@pytest.fixture
def base(top: Base) -> Base:
    return top.at("/echo")


@pytest.fixture
def closing(top: Base) -> Base:
    return top.at("/close")

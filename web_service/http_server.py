"""aiohttp's HTTP server, with what it lacks: patience that ends, and errors as problems."""

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from typing_extensions import override

from web_service.problems import Problem

log = structlog.get_logger()


class HttpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How long clients may take, in seconds."""

    header_seconds: float
    """For the head of a request, from its first byte; from when it connected, for the first."""
    keep_alive_seconds: float
    """From an answer to the next request."""
    drain_seconds: float
    """For requests that are being answered when the service stops."""


class HttpRunner(web.AppRunner):
    """Runs an application on :class:`_Connection`."""

    def __init__(self, app: web.Application, config: HttpConfig) -> None:
        super().__init__(app, shutdown_timeout=config.drain_seconds)
        self._config = config

    @override
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=True,  # a caller who leaves ends their call's run
            access_log=None,
            auto_decompress=False,  # on the loop, a few KB could keep it busy for seconds
            keepalive_timeout=self._config.keep_alive_seconds,
            header_seconds=self._config.header_seconds,
        )


class _Server(web.Server):
    @override
    def __call__(self) -> "_Connection":
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    """One client's connection, as long as it speaks HTTP."""

    __slots__ = ("_head_timer", "_header_seconds")

    def __init__(self, manager: web.Server, *, header_seconds: float, **options: Any) -> None:
        super().__init__(manager, **options)
        self._header_seconds = header_seconds
        self._head_timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._expect_a_head()

    @override
    def data_received(self, data: bytes) -> None:
        requests_before = self._request_count
        super().data_received(data)
        if self._request_count > requests_before:
            self._expect_nothing()
        elif self._head_timer is None and self._is_idle:
            self._expect_a_head()

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is not HTTP, or goes beyond its limits."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        log.debug("http.refused", address=request.remote, error=str(exc))
        if isinstance(exc, LineTooLong):
            problem = Problem(431, "head-too-large", "The head of the request is too long.")
        else:
            problem = Problem(400, "bad-http", "This is no HTTP request.")
        response = problem.response()
        response.force_close()
        return response

    @property
    def _is_idle(self) -> bool:
        """Whether it waits for a request."""
        return self._waiter is not None and not self._waiter.done()

    def _expect_a_head(self) -> None:
        loop = asyncio.get_running_loop()
        self._head_timer = loop.call_later(self._header_seconds, self._head_is_late)

    def _expect_nothing(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._is_idle:
            self.force_close()

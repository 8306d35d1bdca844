"""The jobs service's one port: DDP at ``/websocket``, and the operational pages."""

import hmac
import http
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from shared.ops.health import Health, Page
from shared.rpc.addresses import AddressLimit
from shared.rpc.server import Server
from shared.rpc.transport import TransportConfig, WebSocketTransport, peer_of

_PATH = "/websocket"


class JobsServer:
    """Lets the web services in, and answers whoever looks after this one."""

    def __init__(
        self,
        ddp: Server,
        health: Health,
        token: str,
        config: TransportConfig,
        limit: AddressLimit,
    ) -> None:
        """``token`` is what callers must show; empty only where they share the host.

        ``limit``: of the connections of each address, once they have shown the token.
        """
        self._ddp = ddp
        self._health = health
        self._token = token
        self._config = config
        self._limit = limit

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[None]:
        """Accept connections; at the end, close them."""
        async with serve(
            self._serve,
            host,
            port,
            process_request=self._answer,
            compression=None,
            max_size=self._config.max_message_bytes,
            max_queue=256,
            open_timeout=self._config.open_timeout,
            close_timeout=self._config.close_timeout,
            ping_interval=None,  # DDP has its own heartbeat
            server_header=None,
        ):
            try:
                yield
            finally:
                await self._ddp.close()

    async def _serve(self, connection: ServerConnection) -> None:
        await self._ddp.serve(WebSocketTransport(connection), peer_of(connection))

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """An HTTP answer; None lets the WebSocket handshake go on."""
        path = request.path.partition("?")[0]
        if (page := await self._health.page(path)) is not None:
            return _response(page)
        if path.rstrip("/") != _PATH:
            return _response(_text(404, "There is nothing here."))
        if not self._may_enter(request):
            return _response(_text(401, "The token is missing or wrong."))
        leave = self._limit.admit(peer_of(connection).address)
        if leave is None:
            return _response(_text(429, "There are too many connections from your address."))
        connection.connection_lost_waiter.add_done_callback(lambda _: leave())
        return None

    def _may_enter(self, request: Request) -> bool:
        shown = request.headers.get("Authorization", "")
        expected = f"Bearer {self._token}" if self._token else shown
        return hmac.compare_digest(shown.encode(), expected.encode())


def _text(status: int, text: str) -> Page:
    return Page(status, "text/plain; charset=utf-8", f"{text}\n".encode())


def _response(page: Page) -> Response:
    headers = Headers()
    headers["Content-Type"] = page.content_type
    headers["Content-Length"] = str(len(page.body))
    headers["Connection"] = "close"
    return Response(page.status, http.HTTPStatus(page.status).phrase, headers, page.body)

"""SockJS's addresses on an aiohttp application, and what happens there."""

import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import parse_qs

from aiohttp import web

from shared.ops.background import running
from shared.rpc.transport import Peer, Transport
from web_service.api.websocket import accept
from web_service.auth import token_of
from web_service.body import read_bounded
from web_service.measure import LONG_LIVED
from web_service.peers import peer_of
from web_service.problems import Problem
from web_service.sockjs import framing, pages
from web_service.sockjs.config import SockJsConfig
from web_service.sockjs.framing import BadFrame, Style
from web_service.sockjs.session import PollingSession
from web_service.sockjs.sessions import Admit, Caller, Serve, Sessions, TooManySessions, everybody
from web_service.sockjs.socket import FramedSocket

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SESSION = "/{server:[^/.]+}/{session:[^/.]+}"
_CALLBACK = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_LOGIN_HEADERS = frozenset({"authorization", "cookie"})
_RETRY_AFTER_SECONDS = 5


class SockJs:
    """All that is below ``/sockjs``: each session is served as a WebSocket's would be."""

    def __init__(
        self,
        serve: Serve,
        *,
        user_id: Callable[[web.Request], Awaitable[str | None]],
        origin_allowed: pages.OriginAllowed,
        admit: Admit = everybody,
        config: SockJsConfig | None = None,
    ) -> None:
        """``user_id``: who sent a request, if they are logged in.

        ``admit``: counts every session, and raises a problem for one too many.
        """
        self._serve = serve
        self._user_id = user_id
        self._origin_allowed = origin_allowed
        self._config = config or SockJsConfig()
        self._admit = admit
        self._sessions = Sessions(serve, self._config, admit)

    def add_to(self, app: web.Application) -> None:
        """Have ``app`` serve all this."""
        app.add_routes(self.routes)
        app.cleanup_ctx.append(self._run)

    @property
    def routes(self) -> list[web.RouteDef]:
        top = self._config.prefix
        return [
            web.get(top, self._greeting),
            web.get(f"{top}/", self._greeting),
            web.get(f"{top}/info", self._info),
            web.options(f"{top}/info", functools.partial(self._options, method="GET")),
            web.get(f"{top}/iframe{{version:[0-9-.a-z_]*}}.html", self._iframe),
            web.get(f"{top}/websocket", self._plain_socket),
            web.get(f"{top}/websocket/", self._plain_socket),
            *self._session_routes(top + _SESSION),
        ]

    def _session_routes(self, top: str) -> list[web.RouteDef]:
        posted: dict[str, Handler] = {
            "xhr": functools.partial(self._receive, style=framing.XHR),
            "xhr_streaming": functools.partial(self._receive, style=framing.XHR_STREAMING),
            "xhr_send": self._post,
        }
        options = functools.partial(self._options, method="POST")
        events = functools.partial(self._receive, style=framing.EVENT_SOURCE)
        return [
            web.get(f"{top}/websocket", self._framed_socket, allow_head=False),
            *(web.post(f"{top}/{name}", handler) for name, handler in posted.items()),
            *(web.options(f"{top}/{name}", options) for name in posted),
            web.get(f"{top}/eventsource", events, allow_head=False),
            web.get(f"{top}/jsonp", self._receive_jsonp, allow_head=False),
            web.post(f"{top}/jsonp_send", self._post_jsonp),
        ]

    async def _run(self, _app: web.Application) -> AsyncIterator[None]:
        async with running(self._sessions.run()):
            yield

    # Without a session

    async def _greeting(self, _request: web.Request) -> web.Response:
        return pages.greeting()

    async def _info(self, request: web.Request) -> web.Response:
        return pages.info(self._cors(request))

    async def _options(self, request: web.Request, *, method: str) -> web.Response:
        return pages.options(self._cors(request), method)

    async def _iframe(self, request: web.Request) -> web.Response:
        if not self._config.client_url:
            return pages.refusal(404, "There is no iframe page here.\n", {})
        return pages.iframe(request, self._config)

    def _cors(self, request: web.Request) -> dict[str, str]:
        return pages.cors(request.headers, self._origin_allowed)

    # WebSockets

    async def _plain_socket(self, request: web.Request) -> web.StreamResponse:
        return await self._accept(request, self._serve)

    async def _framed_socket(self, request: web.Request) -> web.StreamResponse:
        return await self._accept(request, self._serve_framed)

    async def _serve_framed(
        self, socket: Transport, peer: Peer, /, *, user_id: str | None = None
    ) -> None:
        framed = FramedSocket(socket)
        await framed.open()
        async with running(framed.beat(self._config.heartbeat_seconds)):
            await self._serve(framed, peer, user_id=user_id)

    async def _accept(self, request: web.Request, serve: Serve) -> web.StreamResponse:
        return await accept(
            request,
            serve,
            admit=self._admit,
            user_id=self._user_id,
            max_message_bytes=self._config.max_message_bytes,
        )

    # Receivers

    async def _receive(self, request: web.Request, *, style: Style) -> web.StreamResponse:
        return await self._receive_as(request, style, _caller(request))

    async def _receive_jsonp(self, request: web.Request) -> web.StreamResponse:
        callback = request.query.get("c") or request.query.get("callback")
        if not callback:
            return pages.refusal(500, '"callback" parameter required', {})
        if not _CALLBACK.fullmatch(callback):
            return pages.refusal(500, 'invalid "callback" parameter', {})
        return await self._receive_as(request, framing.jsonp(callback), _stranger(request))

    async def _receive_as(
        self, request: web.Request, style: Style, caller: Caller
    ) -> web.StreamResponse:
        cors = self._cors(request)
        if "Access-Control-Allow-Origin" not in cors:  # a GET passes where a POST is refused
            return pages.refusal(403, "This page may not use this service.\n", cors)
        try:
            session = await self._session(request, caller)
        except TooManySessions:
            retry = {"Retry-After": str(_RETRY_AFTER_SECONDS)}
            return pages.refusal(503, "Too many sessions.\n", {**cors, **retry})
        except Problem as problem:
            return pages.refusal(problem.status, f"{problem.detail}\n", cors)
        if session is None:
            return pages.refusal(404, "There is no such session.\n", cors)
        return await self._stream(request, session, style, cors)

    async def _session(self, request: web.Request, caller: Caller) -> PollingSession | None:
        name = request.match_info["session"]
        if name not in self._sessions:
            user_id = await self._user_id(request) if caller.token else None
            if name not in self._sessions:  # nobody else was faster
                return self._sessions.open(name, caller, user_id)
        return self._sessions.find(name, caller.token)

    async def _stream(
        self, request: web.Request, session: PollingSession, style: Style, cors: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                **cors,
                **pages.NOT_CACHED,
                "Content-Type": style.content_type,
                "X-Content-Type-Options": "nosniff",
                "X-Accel-Buffering": "no",
            }
        )
        response[LONG_LIVED] = True
        await response.prepare(request)
        if style.prelude:
            await response.write(style.prelude)
        if session.attach(lambda: _cut(request)):
            try:
                await self._send_frames(response, session, style)
            except BaseException:
                session.end()
                raise
            session.detach()
        else:
            frame = framing.closed(framing.ANOTHER_RECEIVER, "Another connection still open")
            await response.write(style.write(frame))
        await response.write_eof()
        return response

    async def _send_frames(
        self, response: web.StreamResponse, session: PollingSession, style: Style
    ) -> None:
        sent = 0
        while sent < self._config.response_bytes:
            frame = await session.next_frame()
            data = style.write(frame)
            await response.write(data)
            sent += len(data)
            if style.single or framing.is_last(frame):
                break

    # Posts

    async def _post(self, request: web.Request) -> web.StreamResponse:
        refused = await self._take(request, _caller(request), _payload)
        if refused is not None:
            return refused
        headers = {**self._cors(request), **pages.NOT_CACHED, **pages.PLAIN}
        return web.Response(status=204, headers=headers)

    async def _post_jsonp(self, request: web.Request) -> web.StreamResponse:
        refused = await self._take(request, _stranger(request), _form_payload)
        if refused is not None:
            return refused
        return web.Response(body=b"ok", headers={**pages.NOT_CACHED, **pages.PLAIN})

    async def _take(
        self,
        request: web.Request,
        caller: Caller,
        payload_of: Callable[[web.Request, bytes], bytes],
    ) -> web.Response | None:
        """Give a post's texts to its session; returns the answer if that is refused."""
        cors = self._cors(request)
        session = self._sessions.find(request.match_info["session"], caller.token)
        if session is None:
            return pages.refusal(404, "There is no such session.\n", cors)
        async with session.posting:
            body = await read_bounded(request, self._config.max_message_bytes)
            try:
                texts = framing.texts_in_payload(payload_of(request, body))
            except BadFrame as error:
                return pages.refusal(500, str(error), cors)
            await session.post(texts)
        return None


def _caller(request: web.Request) -> Caller:
    return Caller(peer_of(request), token_of(request.headers))


def _stranger(request: web.Request) -> Caller:
    """Who asks by a script element: any page can, with any cookie, so the cookie is not heard."""
    peer = peer_of(request)
    harmless = {n: v for n, v in peer.headers.items() if n not in _LOGIN_HEADERS}
    return Caller(Peer(peer.address, harmless), "")


def _payload(_request: web.Request, body: bytes) -> bytes:
    return body


def _form_payload(request: web.Request, body: bytes) -> bytes:
    if request.content_type != "application/x-www-form-urlencoded":
        return body
    try:
        fields = parse_qs(body.decode(), max_num_fields=8)
    except ValueError:
        raise BadFrame("Payload expected.") from None
    return fields.get("d", [""])[0].encode()


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()

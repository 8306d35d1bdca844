"""A session over HTTP: what the requests of one client add up to, as the RPC's transport."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from shared.rpc.ddp.frames import Outgoing
from web_service.sockjs import framing
from web_service.sockjs.config import SockJsConfig

_CLOSE_SECONDS = 2.0
"""How long a receiver may take to get its last frames."""
_INTERRUPTED = framing.closed(1002, "Connection interrupted")


class PollingSession:
    """One client that gets its frames from receivers, at most one at a time, and posts texts.

    It lives from its first receiver until there was none for a while, or until one was
    cut off: then nobody knows what has arrived, and the layers above must find out.
    """

    close_code: None = None
    """A client over HTTP just stops asking: nobody can tell why."""

    def __init__(self, config: SockJsConfig, on_gone: Callable[[], object]) -> None:
        self._config = config
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._is_new = True
        self._is_gone = False
        self._close_frame = b""
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._something_to_send = asyncio.Event()
        self._room_to_send = asyncio.Event()
        self._incoming: deque[str] = deque()
        self._incoming_size = 0
        self._something_came = asyncio.Event()
        self._room_to_come = asyncio.Event()
        self.posting = asyncio.Lock()
        """Held from the first byte of a post until its texts are taken: they keep their order,
        and only one body at a time takes memory."""
        self._cut: Callable[[], object] | None = None
        self._timer = self._loop.call_later(config.disconnect_seconds, self.end)

    # The transport

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while not self._is_closed:
            if self._incoming:
                text = self._incoming.popleft()
                self._incoming_size -= len(text)
                self._room_to_come.set()
                yield text
            else:
                self._something_came.clear()
                await self._something_came.wait()

    async def send(self, messages: Sequence[Outgoing]) -> None:
        self._put(messages)
        while self._outgoing_bytes > self._config.response_bytes and not self._is_closed:
            self._room_to_send.clear()
            await self._room_to_send.wait()

    def send_now(self, messages: Sequence[Outgoing]) -> bool:
        if self._outgoing_bytes > self._config.response_bytes:
            return False
        self._put(messages)
        return True

    async def close(self, code: int, reason: str) -> None:
        if self._is_closed:
            return
        self._close_frame = framing.closed(code, reason)
        self._wake_all()
        if self._cut is not None:
            # who does not read would keep its request open for ever
            self._rearm(_CLOSE_SECONDS, self._cut)

    # What requests do

    def attach(self, cut: Callable[[], object]) -> bool:
        """Begin to receive; False if somebody else does. ``cut`` cuts off the receiver."""
        if self._cut is not None:
            return False
        self._cut = cut
        self._timer.cancel()
        return True

    def detach(self) -> None:
        """The receiver has got all that it was meant to get; another one may come."""
        self._cut = None
        self._rearm(self._config.disconnect_seconds, self.end)

    def end(self) -> None:
        """There will be no receiver any more, or the last one was cut off."""
        if not self._is_gone:
            self._is_gone = True
            self._close_frame = self._close_frame or _INTERRUPTED
            self._timer.cancel()
            self._outgoing.clear()
            self._incoming.clear()
            self._wake_all()
            self._on_gone()

    async def next_frame(self) -> bytes:
        """What the receiver is to be sent next."""
        if self._is_new:
            self._is_new = False
            return framing.OPEN
        while not self._outgoing and not self._is_closed:
            self._something_to_send.clear()
            try:
                async with asyncio.timeout(self._config.heartbeat_seconds):
                    await self._something_to_send.wait()
            except TimeoutError:
                return framing.HEARTBEAT
        return framing.messages(self._take()) if self._outgoing else self._close_frame

    async def post(self, texts: Sequence[str]) -> None:
        """Take in what the client sent; waits while the session does not read."""
        if self._is_closed:
            return
        self._incoming.extend(texts)
        self._incoming_size += sum(map(len, texts))
        self._something_came.set()
        while self._incoming_size > self._config.response_bytes and not self._is_closed:
            self._room_to_come.clear()
            await self._room_to_come.wait()

    # Inside

    @property
    def _is_closed(self) -> bool:
        return bool(self._close_frame)

    def _put(self, messages: Sequence[Outgoing]) -> None:
        if not self._is_closed:
            texts = framing.only_texts(messages)
            self._outgoing.extend(texts)
            self._outgoing_bytes += sum(map(len, texts))
            self._something_to_send.set()

    def _take(self) -> list[bytes]:
        """Waiting texts for one frame: at least one, and no more than a response should have."""
        texts: list[bytes] = []
        size = 0
        while self._outgoing and (
            not texts or size + len(self._outgoing[0]) <= self._config.response_bytes
        ):
            texts.append(self._outgoing.popleft())
            size += len(texts[-1])
        self._outgoing_bytes -= size
        self._room_to_send.set()
        return texts

    def _rearm(self, seconds: float, callback: Callable[[], object]) -> None:
        self._timer.cancel()
        if not self._is_gone:
            self._timer = self._loop.call_later(seconds, callback)

    def _wake_all(self) -> None:
        for event in (
            *(self._something_to_send, self._room_to_send),
            *(self._something_came, self._room_to_come),
        ):
            event.set()

"""SockJS's frames over a WebSocket, as the RPC's transport."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from shared.rpc.ddp.frames import Outgoing
from shared.rpc.transport import NORMAL_CLOSURE, Transport
from web_service.sockjs import framing

_CLOSE_SECONDS = 2.0


class FramedSocket:
    """A transport of plain texts, in SockJS's frames."""

    def __init__(self, socket: Transport) -> None:
        self._socket = socket
        self._is_closed = False

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    async def open(self) -> None:
        """Say that the connection is there; the first thing that a client waits for."""
        await self._socket.send([framing.OPEN])

    async def beat(self, seconds: float) -> None:
        """Send a heartbeat every so many seconds, for ever."""
        while True:
            await asyncio.sleep(seconds)
            await self._socket.send([framing.HEARTBEAT])

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        async for frame in self._socket:
            try:
                texts = framing.texts_in_frame(frame)
            except framing.BadFrame:
                await self._socket.close(framing.BROKEN_FRAMING, "Broken framing.")
                return
            for text in texts:
                yield text

    async def send(self, messages: Sequence[Outgoing]) -> None:
        await self._socket.send([framing.messages(framing.only_texts(messages))])

    def send_now(self, messages: Sequence[Outgoing]) -> bool:
        return self._socket.send_now([framing.messages(framing.only_texts(messages))])

    async def close(self, code: int, reason: str) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._socket.send([framing.closed(code, reason)])
        await self._socket.close(NORMAL_CLOSURE, "Normal closure")

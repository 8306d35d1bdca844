"""DDP over SockJS: the same texts as over a plain WebSocket, whatever carries them."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from tests.support.ddp import CONNECT, Message, Wire, method, sub

CALLS: list[tuple[Message | str, int]] = [
    (CONNECT, 1),
    (method("1", "echo", "a\u2028b 😀 50%", {"$date": 5}), 2),
    (sub("s", "items"), 3),
    (method("2", "touch"), 4),
    (method("3", "echo", "x" * 200_000), 2),
    (method("4", "drop"), 2),
]
"""Messages, and how many texts answer them. The long one passes the limit of a response."""


class Client:
    """One client over SockJS; each kind gets its frames in its own way."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    def frames(self) -> AsyncIterator[str]:
        raise NotImplementedError

    async def send(self, message: Message | str) -> None:
        async with self.http.post(self.url + "/xhr_send", data=payload(message)) as answer:
            assert answer.status == 204


class Polling(Client):
    async def frames(self) -> AsyncIterator[str]:
        while True:
            async with self.http.post(self.url + "/xhr") as answer:
                yield (await answer.text()).removesuffix("\n")


class Streaming(Client):
    async def frames(self) -> AsyncIterator[str]:
        while True:
            async with self.http.post(self.url + "/xhr_streaming") as answer:
                assert await answer.content.readexactly(2049) == b"h" * 2048 + b"\n"
                while line := await answer.content.readuntil(b"\n"):
                    yield line.decode().removesuffix("\n")


class EventSource(Client):
    async def frames(self) -> AsyncIterator[str]:
        while True:
            async with self.http.get(self.url + "/eventsource") as answer:
                assert await answer.content.readexactly(2) == b"\r\n"
                while event := await answer.content.readuntil(b"\r\n\r\n"):
                    data = event.decode().removeprefix("data: ").removesuffix("\r\n\r\n")
                    yield data.replace("%25", "%")


class Socket(Client):
    socket: aiohttp.ClientWebSocketResponse

    async def frames(self) -> AsyncIterator[str]:
        async with self.http.ws_connect(self.url + "/websocket") as self.socket:
            async for message in self.socket:
                yield message.data

    async def send(self, message: Message | str) -> None:
        await self.socket.send_str(payload(message))


def payload(message: Message | str) -> str:
    return json.dumps([message if isinstance(message, str) else json.dumps(message)])


def without_session(text: str) -> Any:
    message = json.loads(text)
    return "connected" if message["msg"] == "connected" else text


@pytest.mark.parametrize("kind", [Polling, Streaming, EventSource, Socket])
async def test_98_every_transport_carries_the_same_texts(peer: str, kind: type[Client]) -> None:
    expected = []
    async with Wire.to(peer, "") as wire:
        for message, answers in CALLS:
            await wire.send(message)
            expected += [without_session(text) for text in await wire.take(answers)]

    received: list[str] = []
    base = peer.removesuffix("/websocket") + f"/sockjs/123/{uuid.uuid4().hex}"
    async with aiohttp.ClientSession(read_bufsize=2**20) as http:
        client = kind(http, base)
        async with asyncio.timeout(20), aclosing(client.frames()) as frames:  # type: ignore[type-var]
            assert await anext(frames) == "o"
            for message, answers in CALLS:
                await client.send(message)
                until = len(received) + answers
                while len(received) < until:
                    frame = await anext(frames)
                    assert frame[0] == "a"
                    received += [without_session(text) for text in json.loads(frame[1:])]
            assert await anext(frames) == 'c[1000,"Normal closure"]'
    assert received == expected


@pytest.mark.parametrize(
    "path", ["/sockjs/websocket", "/sockjs/websocket/", "/websocket", "/websocket/?x=1"]
)
async def test_98_where_clients_look_for_it(peer: str, path: str) -> None:
    """Each of these is made out of ``http://host/`` or ``ddp+sockjs://host/sockjs``."""
    async with Wire.to(peer.replace("/websocket", path)) as wire:
        assert wire.session


async def test_the_peer_has_every_page(peer: str) -> None:
    base = peer.removesuffix("/websocket") + "/sockjs"
    async with aiohttp.ClientSession() as http:
        for path in ("", "/", "/info", "/iframe.html", "/iframe-1.6.1.html"):
            async with http.get(base + path) as answer:
                assert answer.status == 200


async def test_a_cut_off_receiver_is_a_lost_connection_and_the_session_is_resumed(
    peer: str,
) -> None:
    base = peer.removesuffix("/websocket") + "/sockjs/000/"
    async with aiohttp.ClientSession() as http, asyncio.timeout(20):
        first = Streaming(http, base + uuid.uuid4().hex)
        async with aclosing(first.frames()) as frames:  # type: ignore[type-var]
            assert await anext(frames) == "o"
            await first.send(CONNECT)
            received = json.loads((await anext(frames))[1:])
            await first.send(sub("s", "items"))
            while len(received) < 4:
                received += json.loads((await anext(frames))[1:])
        session = json.loads(received[0])["session"]
        again = json.loads(CONNECT) | {"session": session, "receivedCount": len(received)}
        second = Polling(http, base + uuid.uuid4().hex)
        async with aclosing(second.frames()) as frames:  # type: ignore[type-var]
            assert await anext(frames) == "o"
            await second.send(json.dumps(again))
            assert json.loads((await anext(frames))[1:]) == [
                json.dumps({"msg": "connected", "session": session}, separators=(",", ":"))
            ]
            await second.send(method("1", "touch"))
            assert '\\"msg\\":\\"changed\\"' in await anext(frames)

"""DDP clients of the tests' own, from the specification alone: they share no code with ours."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from tests.support.stack import Api
from tests.support.waiting import eventually

Message = dict[str, Any]

CONNECT = '{"msg":"connect","version":"1","support":["1","pre2","pre1"]}'


def method(call_id: str, name: str, *params: Any, **more: Any) -> Message:
    """The message that calls a method."""
    return {"msg": "method", "id": call_id, "method": name, "params": list(params)} | more


def sub(sub_id: str, name: str, *params: Any) -> Message:
    """The message that subscribes."""
    return {"msg": "sub", "id": sub_id, "name": name, "params": list(params)}


class Wire:
    """A raw client: it shows every text as it came, byte for byte and in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.session = ""
        self.received = 0
        """What a client counts: all but pings and pongs."""
        self._pings = 0

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str, connect: str = CONNECT) -> AsyncIterator[Self]:
        """A connection that is past its handshake; without ``connect``, before it."""
        async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
            wire = cls(socket)
            if connect:
                await wire.send(connect)
                wire.session = json.loads(await wire.next())["session"]
            yield wire

    async def send(self, *messages: Message | str | bytes) -> None:
        for message in messages:
            if isinstance(message, bytes):
                await self.socket.send_bytes(message)
            else:
                text = message if isinstance(message, str) else json.dumps(message)
                await self.socket.send_str(text)

    async def next(self, timeout: float = 10) -> str:
        text: str = await self.socket.receive_str(timeout=timeout)
        self.received += json.loads(text)["msg"] not in ("ping", "pong")
        return text

    def offer(self, **changed: Any) -> str:
        """The ``connect`` with which its client would come back."""
        offer = {"session": self.session, "receivedCount": self.received} | changed
        return json.dumps(json.loads(CONNECT) | offer)

    def cut(self) -> None:
        """Break the connection, without a word."""
        response = self.socket._response
        assert response.connection is not None
        assert response.connection.transport is not None
        response.connection.transport.abort()

    async def take(self, count: int) -> list[str]:
        return [await self.next() for _ in range(count)]

    async def ask(self, *messages: Message | str | bytes) -> list[str]:
        """Everything that is sent in answer, up to the moment when the queue is empty.

        The end is known by an unsub of an unknown id, which waits for its turn.
        """
        self._pings += 1
        end = f"end {self._pings}"
        await self.send(*messages, {"msg": "unsub", "id": end})
        texts = []
        while (text := await self.next()) != f'{{"msg":"nosub","id":"{end}"}}':
            texts.append(text)
        return texts

    async def closed(self) -> tuple[int | None, list[str]]:
        """The code with which the server closes, and what it sends before that."""
        texts = []
        while (message := await self.socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
            texts.append(message.data)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), message
        return self.socket.close_code, texts


class DdpClient:
    """Sends what it is told to, and keeps all that it receives."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.received: list[Message] = []
        self._ids = 0

    @classmethod
    @asynccontextmanager
    async def connected(cls, api: Api) -> AsyncIterator[Self]:
        """A connection to the web service with the cookie of ``api``."""
        async with api.http.ws_connect(api.url + "/websocket") as socket:
            client = cls(socket)
            async with client.running():
                await client.connect()
                yield client

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read())
            try:
                yield
            finally:
                reader.cancel()

    async def connect(self) -> None:
        await self.send({"msg": "connect", "version": "1", "support": ["1"]})
        await self.until(lambda m: m.get("msg") == "connected")

    async def send(self, message: Message) -> None:
        await self.socket.send_str(json.dumps(message))

    async def send_method(self, method: str, *params: Any) -> str:
        self._ids += 1
        call = str(self._ids)
        await self.send({"msg": "method", "id": call, "method": method, "params": list(params)})
        return call

    async def result(self, call: str) -> Message:
        return await self.until(lambda m: m.get("msg") == "result" and m["id"] == call)

    async def call(self, method: str, *params: Any) -> Any:
        """The result of a method.

        Raises:
            AssertionError: it answered with an error; the text holds it.
        """
        answer = await self.result(await self.send_method(method, *params))
        assert "error" not in answer, answer["error"]
        return answer.get("result")

    async def subscribe(self, name: str, *params: Any) -> str:
        """Subscribe and wait until it is ready."""
        self._ids += 1
        sub = str(self._ids)
        await self.send({"msg": "sub", "id": sub, "name": name, "params": list(params)})
        answer = await self.until(
            lambda m: (
                (m.get("msg") == "ready" and sub in m["subs"])
                or (m.get("msg") == "nosub" and m["id"] == sub)
            )
        )
        assert answer["msg"] == "ready", answer
        return sub

    async def until(self, wanted: Callable[[Message], bool], timeout: float = 20) -> Message:
        """The first received message that is ``wanted``; it may have come already."""
        found = await eventually(
            lambda: next((m for m in self.received if wanted(m)), None), timeout, "a message"
        )
        assert found is not None
        return found

    def documents(self, collection: str) -> dict[str, Message]:
        """What a client that followed every message would hold of a collection."""
        found: dict[str, Message] = {}
        for message in self.received:
            if message.get("collection") != collection:
                continue
            match message["msg"]:
                case "added":
                    assert message["id"] not in found, "added twice"
                    found[message["id"]] = dict(message.get("fields", {}))
                case "changed":
                    found[message["id"]].update(message.get("fields", {}))
                    for cleared in message.get("cleared", []):
                        found[message["id"]].pop(cleared, None)
                case "removed":
                    del found[message["id"]]
        return found

    async def _read(self) -> None:
        async for frame in self.socket:
            message = json.loads(frame.data)
            if message.get("msg") == "ping":
                await self.send(
                    {"msg": "pong"} | ({"id": message["id"]} if "id" in message else {})
                )
            self.received.append(message)

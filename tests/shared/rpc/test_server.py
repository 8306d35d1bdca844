"""The server over real WebSockets: connections, garbage, heartbeat, and the end."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.server import MethodContext, Server, ServerConfig, Session
from shared.rpc.transport import Peer, WebSocketTransport
from tests.shared.rpc.conftest import World, echo, raw
from tests.support.waiting import eventually


async def test_a_session_has_a_new_id_of_17_characters(world: World) -> None:
    endpoint = await world.serve()
    ids = set()
    for _ in range(3):
        async with connect(endpoint.url, proxy=None) as connection:
            await connection.send('{"msg":"connect","version":"1","support":["1"]}')
            ids.add(json.loads(await connection.recv())["session"])
    assert len(ids) == 3
    assert {len(name) for name in ids} == {17}


async def test_garbage_is_answered_and_the_session_lives(world: World) -> None:
    async with raw(await world.serve({"echo": echo})) as talk:
        garbage: list[str | bytes] = ["", "nope", "[]", "5", b"\xff", '{"msg":"x"}', b"{}"]
        await talk.send(*garbage)
        assert {m["reason"] for m in await talk.take(len(garbage))} == {"Bad request"}
        assert (await talk.call("echo", 1))["result"] == 1


async def test_a_binary_frame_is_read_as_text(world: World) -> None:
    async with raw(await world.serve()) as talk:
        await talk.send(b'{"msg":"ping"}')
        assert await talk.next() == {"msg": "pong"}


async def test_broken_frames_end_only_their_own_connection(world: World) -> None:
    endpoint = await world.serve({"echo": echo})
    async with raw(endpoint) as other:
        async with raw(endpoint) as talk:
            bad = Frame(Opcode.TEXT, b"\xff\xff").serialize(mask=True)
            talk.connection.transport.write(bad)
            with pytest.raises(ConnectionClosed):
                await talk.next()
        async with raw(endpoint) as talk:
            talk.connection.transport.write(struct.pack("!BB", 0xFF, 0xFF) * 20)
            with pytest.raises(ConnectionClosed):
                await talk.next()
        assert (await other.call("echo", 1))["result"] == 1


async def test_failed_negotiation_closes_with_1000(world: World) -> None:
    endpoint = await world.serve()
    async with connect(endpoint.url, proxy=None) as connection:
        await connection.send('{"msg":"connect","version":"9","support":["9"]}')
        assert await connection.recv() == '{"msg":"failed","version":"1"}'
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 1000


async def test_heartbeat_closes_a_silent_client(world: World) -> None:
    beat = HeartbeatConfig(interval=0.01, timeout=0.02)
    endpoint = await world.serve(config=ServerConfig(heartbeat=beat))
    async with raw(endpoint) as talk:
        assert await talk.next() == {"msg": "ping"}
        with pytest.raises(ConnectionClosed):
            await talk.next()
        assert talk.connection.close_code == 1000


async def test_the_end_of_a_session_cancels_its_methods_and_calls_back(world: World) -> None:
    seen: list[str] = []
    sessions: list[Session] = []
    started = asyncio.Event()

    async def forever(_context: MethodContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    def opened(session: Session) -> None:
        sessions.append(session)
        session.on_close(lambda: seen.append("closed"))
        session.on_close(lambda: 1 / 0)

    endpoint = await world.serve({"forever": forever}, on_connection=opened)
    with capture_logs() as logs:
        async with raw(endpoint) as talk:
            await talk.send({"msg": "method", "id": "1", "method": "forever"})
            await started.wait()
            await talk.send({"msg": "disconnect"})
            await eventually(lambda: endpoint.server.connections == 0)
    assert endpoint.server.sessions == 0
    assert sorted(seen) == ["cancelled", "closed"]
    sessions[0].on_close(lambda: seen.append("late"))
    assert "late" in seen
    assert [e["event"] for e in logs] == ["rpc.callback_failed"]


async def test_a_method_can_close_its_session(world: World) -> None:
    async def leave(context: MethodContext) -> str:
        context.session.close("enough")
        return "never sent"

    async with raw(await world.serve({"leave": leave})) as talk:
        await talk.send({"msg": "method", "id": "1", "method": "leave"})
        with pytest.raises(ConnectionClosed):
            await talk.next()
        assert (talk.connection.close_code, talk.connection.close_reason) == (1000, "enough")


async def test_close_ends_every_session_with_1001(world: World) -> None:
    endpoint = await world.serve()
    async with raw(endpoint) as one, raw(endpoint) as two:
        await endpoint.server.close()
        for talk in (one, two):
            with pytest.raises(ConnectionClosed):
                await talk.next()
            assert talk.connection.close_code == 1001
    async with connect(endpoint.url, proxy=None) as late:
        with pytest.raises(ConnectionClosed):
            await late.recv()
        assert late.close_code == 1001
    assert endpoint.server.connections == 0


async def test_cancelling_serve_closes_the_connection() -> None:
    closed: list[int] = []

    class Silent:
        close_code = None

        async def __aiter__(self) -> AsyncIterator[str]:
            await asyncio.Event().wait()
            yield ""

        async def send(self, texts: Any) -> None: ...

        def send_now(self, texts: Any) -> bool:
            return True

        async def close(self, code: int, reason: str) -> None:
            closed.append(code)

    server = Server({})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.serve(Silent(), Peer()))
        await eventually(lambda: server.connections == 1)
        task.cancel()
    assert closed == [1001]
    assert server.connections == 0


async def test_a_failing_on_connection_closes_the_session(world: World) -> None:
    def refuse(_session: Session) -> None:
        raise RuntimeError("no")

    endpoint = await world.serve(on_connection=refuse)
    with capture_logs() as logs:
        async with raw(endpoint) as talk:
            with pytest.raises(ConnectionClosed):
                await talk.next()
    assert logs[0]["event"] == "rpc.connection_refused"


async def test_the_peer_is_known(world: World) -> None:
    peers: list[Peer] = []
    endpoint = await world.serve(on_connection=lambda session: peers.append(session.peer))
    async with raw(endpoint):
        assert peers[0].address == "127.0.0.1"
        assert peers[0].headers["upgrade"] == "websocket"


async def test_a_user_may_be_known_from_the_start() -> None:
    users: list[str | None] = []
    texts = ['{"msg":"connect","version":"1","support":["1"]}']

    class Scripted:
        close_code = None

        async def __aiter__(self) -> AsyncIterator[str]:
            for text in texts:
                yield text

        async def send(self, texts: Any) -> None: ...

        def send_now(self, texts: Any) -> bool:
            return True

        async def close(self, code: int, reason: str) -> None: ...

    server = Server({}, on_connection=lambda session: users.append(session.user_id))
    await server.serve(Scripted(), user_id="ada")
    assert users == ["ada"]
    await server.close()


async def test_a_reader_that_stalls_can_still_be_closed(world: World) -> None:
    """Its socket is full, so neither texts nor the close frame can be written."""

    async def flood(_context: MethodContext) -> str:
        return "x" * 8_000_000

    endpoint = await world.serve({"flood": flood})
    async with raw(endpoint) as talk:
        talk.connection.transport.pause_reading()
        for number in range(3):
            await talk.send({"msg": "method", "id": str(number), "method": "flood"})
        connection = next(iter(endpoint.connections))
        await eventually(lambda: connection.transport.get_write_buffer_size() > 1_000_000)
        transport = WebSocketTransport(connection, close_timeout=0.05)
        await transport.close(1000, "too slow")
        await eventually(lambda: endpoint.server.connections == 0)
        talk.connection.transport.abort()


def test_39_what_is_no_function_is_refused() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError):
        Server({"m": wrong})
    with pytest.raises(TypeError):
        Server({}, {"p": wrong})

"""What an application sees of a session: who is there, and hooks."""

import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedOK

from shared.rpc.rate_limit import RateLimiter, Rule
from shared.rpc.server import MethodContext, Session, Subscription
from tests.shared.rpc.conftest import World
from tests.support.waiting import eventually


async def echo(_context: MethodContext, value: Any) -> Any:
    return value


async def items(sub: Subscription) -> None:
    sub.ready()


async def greet(connection: ClientConnection) -> None:
    await connection.send('{"msg":"connect","version":"1","support":["1"]}')
    assert json.loads(await connection.recv())["msg"] == "connected"


async def test_headers_without_secrets(world: World) -> None:
    sessions: list[Session] = []
    endpoint = await world.serve(on_connection=sessions.append, forwarded_count=1)
    headers = {"Cookie": "secret", "Authorization": "secret", "X-Forwarded-For": "7.7.7.7"}
    async with connect(endpoint.url, proxy=None, additional_headers=headers) as connection:
        await greet(connection)
    (session,) = sessions
    assert set(session.http_headers) == {"host", "user-agent", "x-forwarded-for"}
    assert session.client_address == "7.7.7.7"


async def test_4_connection_hooks_can_be_removed(world: World) -> None:
    endpoint = await world.serve()
    seen: list[str] = []
    stops = [
        endpoint.server.on_connection(lambda session: seen.append("a")),
        endpoint.server.on_connection(lambda session: seen.append("b")),
    ]
    for stop in (None, *stops, stops[0]):
        if stop is not None:
            stop()
        async with connect(endpoint.url, proxy=None) as connection:
            await greet(connection)
        seen.append("-")
    assert "".join(seen) == "ab-b---"


async def test_5_message_hooks_see_texts_as_they_came(world: World) -> None:
    endpoint = await world.serve({"echo": echo})
    seen: list[tuple[str, str | bytes]] = []
    stop = endpoint.server.on_message(lambda session, text: seen.append((session.id, text)))
    text = '{"msg":"method", "id":"1","method":"echo","params":[{"$date":5}]}'
    async with connect(endpoint.url, proxy=None) as connection:
        await connection.send('{"msg":"connect","version":"1","support":["1"]}')
        session_id = json.loads(await connection.recv())["session"]
        await connection.send(text)
        await connection.recv()
        assert seen == [(session_id, text)]
        stop()
        await connection.send('{"msg":"ping"}')
        await connection.recv()
    assert len(seen) == 1


async def test_3_a_hook_can_close_the_connection(world: World) -> None:
    endpoint = await world.serve(on_connection=lambda session: session.close("full"))
    async with connect(endpoint.url, proxy=None) as connection:
        await greet(connection)
        with pytest.raises(ConnectionClosedOK) as closed:
            await connection.recv()
        assert (closed.value.rcvd and closed.value.rcvd.reason) == "full"
    await eventually(lambda: endpoint.server.connections == 0)


async def test_too_many_requests_on_the_wire(world: World) -> None:
    limiter = RateLimiter([Rule(limit=0, seconds=1000, message="no")])
    endpoint = await world.serve({"echo": echo}, {"items": items}, rate_limiter=limiter)
    error = (
        '{"isClientSafe":true,"error":"too-many-requests","reason":"no",'
        '"details":{"timeToReset":TIME},"message":"no [too-many-requests]",'
        '"errorType":"Meteor.Error"}'
    )
    async with connect(endpoint.url, proxy=None) as connection:
        await greet(connection)
        await connection.send('{"msg":"method","id":"1","method":"echo","params":[1]}')
        await connection.send('{"msg":"sub","id":"2","name":"items"}')
        await connection.send('{"msg":"sub","id":"3","name":"nope"}')
        texts = [str(await connection.recv()) for _ in range(4)]
    times = [json.loads(text)["error"]["details"]["timeToReset"] for text in texts[1:3]]
    assert all(0 < time <= 1_000_000 for time in times)
    assert texts[:3] == [
        '{"msg":"updated","methods":["1"]}',
        f'{{"msg":"result","id":"1","error":{error}}}'.replace("TIME", str(times[0])),
        f'{{"msg":"nosub","id":"2","error":{error}}}'.replace("TIME", str(times[1])),
    ]
    assert json.loads(texts[3])["error"]["error"] == 404

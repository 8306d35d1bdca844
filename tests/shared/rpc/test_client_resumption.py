"""The client over real sockets that break: who gets an answer, and who is told what."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from shared.rpc.client import Client, ClientConfig
from shared.rpc.errors import CallTimeout, ConnectionLost
from shared.rpc.keeper import Backoff
from shared.rpc.server import MethodContext, Subscription
from shared.rpc.subscribing import random_id
from shared.rpc.transport import Transport, TransportConfig, open_websocket
from tests.shared.rpc.conftest import DROP, Message, World, outcome
from tests.support.waiting import eventually

QUICK = Backoff(base=0.001, limit=0.01)


def resuming(answer: Callable[[Message], list[Any]]) -> Callable[[Message], list[Any]]:
    """A server that knows every session, and never has anything to send again."""
    sessions = map("S{}".format, count(1))

    def script(message: Message) -> list[Any]:
        if message["msg"] == "connect":
            return [{"msg": "connected", "session": message.get("session") or next(sessions)}]
        return answer(message)

    return script


def forgetful(answer: Callable[[Message], list[Any]]) -> Callable[[Message], list[Any]]:
    """A server that begins a new session on every connection."""
    script = resuming(answer)
    return lambda message: script({key: message[key] for key in message if key != "session"})


class DropsOnce:
    """Drops the connection at the first time of each method, answers at the second."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, message: Message) -> list[Any]:
        if message["msg"] != "method":
            return []
        if message["id"] not in self._seen:
            self._seen.add(message["id"])
            return [DROP]
        return [{"msg": "result", "id": message["id"], "result": message["params"][0]}]


async def test_a_call_survives_a_drop(world: World) -> None:
    server = await world.scripted(resuming(DropsOnce()))
    client = await world.connected(server)
    assert await client.call("echo", 5) == 5
    first, second = server.said("method")
    assert first == second
    assert [m.get("receivedCount") for m in server.said("connect")] == [None, 1]


async def test_62_only_what_may_be_repeated_is_called_on_a_new_session(world: World) -> None:
    server = await world.scripted(forgetful(DropsOnce()))
    client = await world.connected(server)
    with pytest.raises(ConnectionLost) as caught:
        await client.call("echo", 5)
    assert caught.value.may_have_run
    await client.connected()
    assert await client.call("echo", 6, retry=True) == 6


async def test_who_refuses_connections_knows_no_session(world: World) -> None:
    running = asyncio.Event()

    async def wait(context: MethodContext) -> None:
        context.unblock()
        running.set()
        await asyncio.Event().wait()

    async def echo(_context: MethodContext, value: int) -> int:
        return value

    endpoint = await world.serve({"wait": wait, "echo": echo})
    config = ClientConfig(backoff=QUICK, resume_seconds=1000)
    client = await world.connected(endpoint, config=config)
    async with asyncio.TaskGroup() as group:
        lost = group.create_task(outcome(client.call("wait")))
        kept = group.create_task(client.call("echo", 1, retry=True))
        await running.wait()
        await endpoint.stop()
        error = await lost
        assert isinstance(error, ConnectionLost)
        assert error.may_have_run
        await endpoint.start()
        assert await kept == 1


class Doors:
    """Opens real connections for a while, and then keeps the client waiting."""

    def __init__(self, url: str, admitted: int) -> None:
        self._url = url
        self._left = admitted

    async def __call__(self) -> Transport:
        if self._left == 0:
            await asyncio.Event().wait()
        self._left -= 1
        return await open_websocket(self._url, headers={}, config=TransportConfig())


@pytest.mark.parametrize("seconds", [0.0, 0.01])
async def test_a_call_waits_for_its_session_only_so_long(world: World, seconds: float) -> None:
    server = await world.scripted(resuming(DropsOnce()))
    config = ClientConfig(backoff=QUICK, resume_seconds=seconds)
    client = await world.connected(server, config=config, connect=Doors(server.url, 1))
    with pytest.raises(ConnectionLost) as caught:
        await client.call("echo", 5)
    assert caught.value.may_have_run


async def test_a_deadline_holds_without_a_connection(world: World) -> None:
    server = await world.scripted(resuming(DropsOnce()))
    config = ClientConfig(backoff=QUICK, queue_offline=True)
    client = await world.connected(server, config=config, connect=Doors(server.url, 1))
    with pytest.raises(CallTimeout) as caught:
        await client.call("echo", 5, retry=True, deadline=0.05)
    assert caught.value.may_have_run
    with pytest.raises(CallTimeout) as caught:
        await client.call("echo", 5, deadline=0.01)
    assert not caught.value.may_have_run


async def test_60_calls_may_wait_for_a_connection(world: World) -> None:
    async def echo(_context: MethodContext, value: int) -> int:
        return value

    endpoint = await world.serve({"echo": echo})
    await endpoint.stop()
    client = await world.client(
        endpoint.url, config=ClientConfig(backoff=QUICK, queue_offline=True)
    )
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(client.call("echo", number)) for number in range(5)]
        await eventually(lambda: client.connection_status.retry_count > 1)
        await endpoint.start()
    assert [call.result() for call in calls] == [0, 1, 2, 3, 4]


async def test_a_message_that_is_too_large_for_us_settles_its_call(world: World) -> None:
    def answer(message: Message) -> list[Any]:
        if message["msg"] != "method":
            return []
        return [{"msg": "result", "id": message["id"], "result": "x" * message["params"][0]}]

    server = await world.scripted(resuming(answer))
    config = ClientConfig(backoff=QUICK, transport=TransportConfig(max_message_bytes=1000))
    client = await world.connected(server, config=config)
    with pytest.raises(ConnectionLost):
        await client.call("huge", 2000, retry=True)
    await client.connected()
    assert await client.call("small", 1) == "x"


async def test_closing_says_so(world: World) -> None:
    server = await world.scripted(resuming(lambda _message: []))
    async with Client(server.url) as client:
        await client.connected()
    await eventually(lambda: server.received[-1] == {"msg": "disconnect"})


async def test_97_a_client_that_disconnects_stays_offline(world: World) -> None:
    server = await world.scripted(resuming(lambda _message: []))
    config = ClientConfig(backoff=QUICK, queue_offline=True)
    client = await world.connected(server, config=config)
    async with asyncio.TaskGroup() as group:
        sent = group.create_task(outcome(client.call("x", retry=True)))
        await eventually(lambda: server.said("method"))
        client.disconnect()
        assert client.status == "offline"
        error = await sent
        assert isinstance(error, ConnectionLost)
        assert error.may_have_run
        await eventually(lambda: server.received[-1] == {"msg": "disconnect"})
        queued = group.create_task(outcome(client.call("y")))
        assert len(server.said("connect")) == 1
        client.reconnect()
        await client.connected()
        await eventually(lambda: server.received[-1].get("method") == "y")
        assert "session" not in server.said("connect")[-1]
        queued.cancel()


async def test_a_client_may_disconnect_while_it_connects(world: World) -> None:
    server = await world.scripted(resuming(lambda _message: []))
    may_connect = asyncio.Event()

    async def connect() -> Transport:
        await may_connect.wait()
        return await open_websocket(server.url, headers={}, config=TransportConfig())

    client = await world.client(server.url, connect=connect)
    client.disconnect()
    may_connect.set()
    with pytest.raises(ConnectionLost):
        await client.connected()
    client.reconnect()
    await client.connected()
    assert [message["msg"] for message in server.received] == ["connect"]


async def test_a_wait_call_that_is_cancelled_lets_the_others_go(world: World) -> None:
    def answer(message: Message) -> list[Any]:
        if message["msg"] != "method" or message["method"] == "never":
            return []
        return [{"msg": "result", "id": message["id"], "result": 5}]

    server = await world.scripted(resuming(answer))
    client = await world.connected(server)
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(client.call("never", wait=True))
        await eventually(lambda: server.said("method"))
        behind = group.create_task(client.call("behind"))
        await asyncio.sleep(0)
        waits.cancel()
        assert await behind == 5


async def test_58_subscriptions_of_meteor_have_random_ids(world: World) -> None:
    server = await world.scripted(resuming(lambda _message: []))
    client = await world.connected(server)
    for _ in range(2):
        client.subscribe("items", 1)
    await eventually(lambda: len(server.said("sub")) == 2)
    first, second = (message["id"] for message in server.said("sub"))
    assert first != second
    assert [len(first), len(random_id())] == [17, 17]


async def test_a_drop_goes_unnoticed_where_the_server_resumes(world: World) -> None:
    runs: list[int] = []
    may_end = asyncio.Event()

    async def wait(context: MethodContext, value: int) -> int:
        context.unblock()
        runs.append(value)
        await may_end.wait()
        return value

    async def feed(sub: Subscription) -> None:
        sub.added("items", "a", {"n": len(feeds)})
        sub.ready()
        feeds.append(sub)

    feeds: list[Subscription] = []
    endpoint = await world.serve({"wait": wait}, {"feed": feed})
    client = await world.connected(endpoint)
    items = client.collection("items")
    await client.subscribe("feed").ready()
    events: list[str] = []
    items.observe(lambda kind, *_rest: events.append(kind))
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(client.call("wait", number)) for number in range(5)]
        await eventually(lambda: len(runs) == 5)
        endpoint.cut()
        await eventually(lambda: len(endpoint.requests) == 2)
        endpoint.cut()
        await eventually(lambda: len(endpoint.requests) == 3)
        await client.connected()
        feeds[0].changed("items", "a", {"n": 5})
        may_end.set()
    assert [call.result() for call in calls] == runs == list(range(5))
    await eventually(lambda: events == ["changed"])
    assert items.documents == {"a": {"n": 5}}
    assert len(feeds) == 1

"""The client against real servers: calls, drops, reconnects, subscriptions."""

import asyncio
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.rpc.client import Client, ClientConfig
from shared.rpc.ddp.client import ClientSessionConfig
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ejson import UNDEFINED
from shared.rpc.errors import (
    CallTimeout,
    ConnectionLost,
    EjsonError,
    MethodError,
    NegotiationFailed,
)
from shared.rpc.keeper import Backoff
from shared.rpc.server import MethodContext, ServerConfig, Session, Subscription
from shared.rpc.transport import Transport, TransportConfig, open_websocket
from tests.shared.rpc.conftest import CLOSE, World, outcome
from tests.support.waiting import eventually


async def echo(_context: MethodContext, *params: Any) -> Any:
    return params[0] if params else UNDEFINED


async def test_call(world: World) -> None:
    client = await world.connected(await world.serve({"echo": echo}))
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert await client.call("echo", {"at": moment, "data": b"\x00"}) == {
        "at": moment,
        "data": b"\x00",
    }
    assert await client.call("echo") is None


async def test_errors(world: World) -> None:
    async def fail(_context: MethodContext) -> None:
        raise MethodError("bad-thing", "It went wrong", {"why": 42})

    client = await world.connected(await world.serve({"fail": fail}))
    with pytest.raises(MethodError, match="It went wrong") as caught:
        await client.call("fail")
    assert (caught.value.error, caught.value.details) == ("bad-thing", {"why": 42})
    with pytest.raises(MethodError) as caught:
        await client.call("nope")
    assert caught.value.error == 404
    with pytest.raises(EjsonError):
        await client.call("fail", object())


async def test_many_calls_at_once(world: World) -> None:
    client = await world.connected(await world.serve({"echo": echo}))
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(client.call("echo", number)) for number in range(300)]
    assert [call.result() for call in calls] == list(range(300))


async def test_deadline_and_cancel_forget_the_call(world: World) -> None:
    gate = asyncio.Event()

    async def wait(context: MethodContext) -> str:
        context.unblock()
        await gate.wait()
        return "done"

    client = await world.connected(await world.serve({"wait": wait, "echo": echo}))
    with pytest.raises(CallTimeout) as caught:
        await client.call("wait", deadline=0.01)
    assert caught.value.may_have_run
    async with asyncio.TaskGroup() as group:
        task = group.create_task(client.call("wait"))
        assert await client.call("echo", 1) == 1
        task.cancel()
    gate.set()
    assert await client.call("echo", 2, deadline=10) == 2


async def test_77_a_call_is_what_it_was_when_it_was_made(world: World) -> None:
    client = await world.connected(await world.serve({"echo": echo}))
    value = [1]
    async with asyncio.TaskGroup() as group:
        call = group.create_task(client.call("echo", value))
        await asyncio.sleep(0)
        value.append(2)
    assert call.result() == [1]


# Without a connection


async def test_a_call_without_a_connection_fails_at_once(world: World) -> None:
    endpoint = await world.serve()
    await endpoint.stop()
    client = await world.client(endpoint.url)
    with pytest.raises(ConnectionLost) as caught:
        await client.call("echo")
    assert not caught.value.may_have_run
    await eventually(lambda: isinstance(client.last_error, OSError))


async def test_a_drop_in_flight_settles_every_call(world: World) -> None:
    arrived = asyncio.Event()
    running: list[int] = []

    async def wait(context: MethodContext, number: int) -> None:
        context.unblock()
        running.append(number)
        if len(running) == 5:
            arrived.set()
        await asyncio.Event().wait()

    endpoint = await world.serve(
        {"wait": wait, "echo": echo}, config=ServerConfig(resume_timeout=0)
    )
    client = await world.connected(endpoint)

    async def attempt(number: int) -> bool:
        with pytest.raises(ConnectionLost) as caught:
            await client.call("wait", number)
        return caught.value.may_have_run

    async with asyncio.TaskGroup() as group:
        attempts = [group.create_task(attempt(number)) for number in range(5)]
        await arrived.wait()
        endpoint.cut()
    assert all(task.result() for task in attempts)
    await client.connected()
    assert await client.call("echo", 1) == 1


async def test_closing_the_client_settles_everything(world: World) -> None:
    async def wait(_context: MethodContext) -> None:
        await asyncio.Event().wait()

    async def never(_sub: Subscription) -> None: ...

    endpoint = await world.serve({"wait": wait}, {"never": never})
    async with asyncio.TaskGroup() as group:
        async with Client(endpoint.url) as client:
            await client.connected()
            call = group.create_task(outcome(client.call("wait")))
            handle = client.subscribe("never")
            ready = group.create_task(outcome(handle.ready()))
            await eventually(lambda: endpoint.server.connections == 1)
        assert isinstance(await call, ConnectionLost)
        assert isinstance(await ready, ConnectionLost)
    await eventually(lambda: endpoint.server.connections == 0)


async def test_an_error_of_the_body_leaves_as_it_is(world: World) -> None:
    endpoint = await world.serve()

    async def use() -> None:
        async with Client(endpoint.url) as client:
            await client.connected()
            raise KeyError

    with pytest.raises(KeyError):
        await use()


async def test_headers_are_asked_for_on_every_attempt(world: World) -> None:
    endpoint = await world.serve()
    tokens = iter(["first", "second"])

    def headers() -> dict[str, str]:
        return {"Authorization": f"Bearer {next(tokens)}"}

    await world.connected(endpoint, headers=headers)
    endpoint.cut()
    await eventually(lambda: len(endpoint.requests) == 2)
    assert [r["authorization"] for r in endpoint.requests] == ["Bearer first", "Bearer second"]


# Odd servers

WELCOME = {"msg": "connected", "session": "S"}


async def test_noise_of_old_servers_is_ignored(world: World) -> None:
    def answer(message: dict[str, Any]) -> list[Any]:
        if message["msg"] == "connect":
            return [{"server_id": "0"}, b"\x00binary", "not json", WELCOME]
        if message["msg"] == "pong":
            return []
        call_id = message["id"]
        return [
            {"msg": "error", "reason": "whatever"},
            {"msg": "new-thing"},
            {"msg": "result", "id": "999"},
            {"msg": "result", "id": call_id, "result": 5},
            {"msg": "updated", "methods": [call_id]},
            {"msg": "ping"},
        ]

    server = await world.scripted(answer)
    client = await world.connected(server)
    with capture_logs() as logs:
        assert await client.call("x") == 5
        await eventually(lambda: server.received[-1] == {"msg": "pong"})
    assert [entry["event"] for entry in logs] == ["rpc.complaint"]


async def test_71_renegotiates_after_failed(world: World) -> None:
    def answer(message: dict[str, Any]) -> list[Any]:
        if message["version"] == "1":
            return [{"msg": "failed", "version": "pre1"}, CLOSE]
        return [WELCOME]

    server = await world.scripted(answer)
    # no backoff is waited for: nothing is wrong
    await world.connected(server, config=ClientConfig(backoff=Backoff(base=1000, limit=1000)))
    assert [message["version"] for message in server.received] == ["1", "pre1"]


async def test_72_gives_up_when_no_version_is_shared(world: World) -> None:
    server = await world.scripted(lambda _message: [{"msg": "failed", "version": "9"}])
    client = await world.client(server.url, config=ClientConfig(queue_offline=True))
    async with asyncio.TaskGroup() as group:
        call = group.create_task(outcome(client.call("x")))
        ready = group.create_task(outcome(client.subscribe("x").ready()))
        with pytest.raises(NegotiationFailed):
            await client.connected()
    assert isinstance(await call, ConnectionLost)
    assert isinstance(await ready, NegotiationFailed)
    assert client.status == "failed"
    with pytest.raises(ConnectionLost):
        await client.call("x")
    assert len(server.received) == 1


async def test_104_a_server_that_falls_silent_is_left(world: World) -> None:
    config = ClientConfig(
        session=ClientSessionConfig(heartbeat=HeartbeatConfig(interval=0.01, timeout=0.01)),
        backoff=Backoff(base=0.001),
    )
    sessions = map(str, count())

    def answer(message: dict[str, Any]) -> list[Any]:
        connects = message["msg"] == "connect"
        return [{"msg": "connected", "session": next(sessions)}] if connects else []

    server = await world.scripted(answer)
    client = await world.connected(server, config=config)
    with pytest.raises(ConnectionLost):
        await client.call("x")
    assert len(server.said("connect")) >= 2


async def test_a_server_that_never_answers_connect_is_left(world: World) -> None:
    config = ClientConfig(
        session=ClientSessionConfig(connect_timeout=0.01), backoff=Backoff(base=0.001)
    )
    server = await world.scripted(lambda _message: [])
    client = await world.client(server.url, config=config)
    await eventually(lambda: len(server.received) >= 2)
    assert client.status != "connected"


# Subscriptions


class Feed:
    """Publishes a list of documents, and its later changes, to everybody."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.subs: set[Subscription] = set()

    async def publish(self, sub: Subscription) -> None:
        self.subs.add(sub)
        sub.on_stop(lambda: self.subs.discard(sub))
        for document_id, fields in self.documents.items():
            sub.added("items", document_id, fields)
        sub.ready()


async def test_subscription(world: World) -> None:
    feed = Feed()
    feed.documents = {"a": {"n": 1}}
    client = await world.connected(await world.serve(publications={"feed": feed.publish}))
    items = client.collection("items")
    events: list[Any] = []
    stop_observing = items.observe(lambda *event: events.append(event))
    handle = client.subscribe("feed")
    await handle.ready()
    assert handle.is_ready
    assert items.documents == {"a": {"n": 1}}
    (sub,) = feed.subs
    sub.changed("items", "a", {"n": UNDEFINED, "m": 2})
    sub.added("items", "b", {})
    sub.removed("items", "a")
    await eventually(lambda: len(events) == 4)
    assert events == [
        ("added", "a", {"n": 1}),
        ("changed", "a", {"n": UNDEFINED, "m": 2}),
        ("added", "b", {}),
        ("removed", "a", {}),
    ]
    stop_observing()
    await handle.stop()
    await handle.stop()
    assert handle.is_ended
    assert feed.subs == set()
    assert items.documents == {}
    assert len(events) == 4


async def test_a_refused_subscription(world: World) -> None:
    async def refuse(_sub: Subscription) -> None:
        raise MethodError(403, "No")

    client = await world.connected(await world.serve(publications={"refuse": refuse}))
    for name, code in (("refuse", 403), ("nope", 404)):
        handle = client.subscribe(name)
        with pytest.raises(MethodError) as caught:
            await handle.ready()
        assert caught.value.error == code
        await handle.stop()


async def test_subscriptions_come_back_after_a_drop_without_a_flash(world: World) -> None:
    feed, sessions = Feed(), list[Session]()
    feed.documents = {"a": {"n": 1}, "b": {}}
    endpoint = await world.serve(
        {"echo": echo},
        {"feed": feed.publish},
        on_connection=sessions.append,
        config=ServerConfig(resume_timeout=0),
    )
    client = await world.client(endpoint.url)
    handle = client.subscribe("feed")
    await handle.ready()
    sizes: list[int] = []
    items = client.collection("items")
    events: list[Any] = []

    def observe(*event: Any) -> None:
        events.append(event)
        sizes.append(len(items.documents))

    items.observe(observe)
    feed.documents = {"a": {"n": 2}, "c": {}}
    endpoint.cut()
    await eventually(lambda: items.documents == {"a": {"n": 2}, "c": {}})
    assert events == [("removed", "b", {}), ("changed", "a", {"n": 2}), ("added", "c", {})]
    assert min(sizes) > 0
    assert len(sessions) == 2
    assert len(feed.subs) == 1
    await handle.stop()
    assert items.documents == {}


async def test_a_failing_observer_harms_nobody(world: World) -> None:
    feed = Feed()
    feed.documents = {"a": {}}
    client = await world.connected(await world.serve(publications={"feed": feed.publish}))
    seen: list[str] = []
    client.collection("items").observe(lambda *_event: 1 / 0)
    client.collection("items").observe(lambda kind, *_rest: seen.append(kind))
    with capture_logs() as logs:
        await client.subscribe("feed").ready()
    assert seen == ["added"]
    assert [entry["event"] for entry in logs] == ["rpc.observer_failed"]


async def test_a_bug_ends_one_connection_and_not_the_client(world: World) -> None:
    endpoint = await world.serve({"echo": echo})
    attempts: list[int] = []

    async def connect() -> Transport:
        attempts.append(1)
        if len(attempts) == 1:
            raise RuntimeError("a bug")
        return await open_websocket(endpoint.url, headers={}, config=TransportConfig())

    with capture_logs() as logs:
        client = await world.connected(endpoint, connect=connect)
    assert [entry["event"] for entry in logs] == ["rpc.connection_failed"]
    assert await client.call("echo", 1) == 1

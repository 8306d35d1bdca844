"""Publications over real WebSockets: from the subscription to its end."""

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from shared.rpc.ddp.document import Document
from shared.rpc.errors import MethodError
from shared.rpc.server import MethodContext, ServerConfig, Session, Subscription
from tests.shared.rpc.conftest import World, echo, raw
from tests.support.waiting import eventually


async def test_publication(world: World) -> None:
    stopped: list[str] = []

    async def items(sub: Subscription, start: int = 1) -> None:
        sub.added("items", "a", {"n": start})
        sub.on_stop(lambda: stopped.append("stopped"))
        sub.ready()
        sub.changed("items", "a", {"n": start + 1})

    async with raw(await world.serve(publications={"items": items})) as talk:
        await talk.send({"msg": "sub", "id": "1", "name": "items", "params": [5]})
        assert [m["msg"] for m in await talk.take(3)] == ["added", "ready", "changed"]
        await talk.send({"msg": "unsub", "id": "1"})
        assert [m["msg"] for m in await talk.take(2)] == ["removed", "nosub"]
        assert stopped == ["stopped"]


async def test_a_publisher_that_stays_is_cancelled_with_its_subscription(world: World) -> None:
    ended = asyncio.Event()

    async def live(sub: Subscription) -> None:
        sub.ready()
        sub.unblock()
        try:
            await asyncio.Event().wait()
        finally:
            sub.added("items", "too late", {})
            ended.set()

    async with raw(await world.serve({"echo": echo}, {"live": live})) as talk:
        await talk.send({"msg": "sub", "id": "1", "name": "live"})
        assert await talk.next() == {"msg": "ready", "subs": ["1"]}
        assert (await talk.call("echo", 1))["result"] == 1
        await talk.send({"msg": "unsub", "id": "1"})
        assert await talk.next() == {"msg": "nosub", "id": "1"}
        await asyncio.wait_for(ended.wait(), 10)


async def test_publishing_from_elsewhere_after_the_handler_returned(world: World) -> None:
    subs: list[Subscription] = []

    async def live(sub: Subscription) -> None:
        subs.append(sub)
        sub.ready()

    async with raw(await world.serve(publications={"live": live})) as talk:
        await talk.send({"msg": "sub", "id": "1", "name": "live"})
        await talk.next()
        subs[0].added("items", "a", {})
        assert (await talk.next())["msg"] == "added"
        subs[0].stop()
        assert [m["msg"] for m in await talk.take(2)] == ["removed", "nosub"]
        late: list[int] = []
        subs[0].on_stop(lambda: late.append(1))
        assert late == [1]


@pytest.mark.parametrize(
    ("raised", "code"), [(MethodError("pub-bad", "no"), "pub-bad"), (RuntimeError("x"), 500)]
)
async def test_a_failing_publisher(world: World, raised: Exception, code: Any) -> None:
    async def failing(sub: Subscription) -> None:
        sub.added("items", "a", {})
        raise raised

    async with raw(await world.serve(publications={"failing": failing})) as talk:
        with capture_logs() as logs:
            await talk.send({"msg": "sub", "id": "1", "name": "failing"})
            found = await talk.take(3)
        assert [m["msg"] for m in found] == ["added", "removed", "nosub"]
        assert found[2]["error"]["error"] == code
        logged = [e["publication"] for e in logs if e["event"] == "rpc.publication_failed"]
        assert logged == (["failing"] if code == 500 else [])


async def test_a_document_too_many_ends_the_subscription_that_wanted_it(world: World) -> None:
    subs: list[Subscription] = []

    async def items(sub: Subscription, *ids: str) -> None:
        subs.append(sub)
        for document_id in ids:
            sub.added("items", document_id, {})
        sub.ready()

    config = ServerConfig(max_documents=2)
    async with raw(await world.serve(publications={"items": items}, config=config)) as talk:
        await talk.send({"msg": "sub", "id": "1", "name": "items", "params": ["a", "b"]})
        assert [m["msg"] for m in await talk.take(3)] == ["added", "added", "ready"]
        await talk.send({"msg": "sub", "id": "2", "name": "items", "params": ["c"]})
        refused = await talk.next()
        assert (refused["msg"], refused["id"]) == ("nosub", "2")
        assert refused["error"]["error"] == "too-many-documents"

        subs[0].removed("items", "a")
        subs[0].added("items", "c", Document({"n": 1}))
        subs[0].replaced("items", "c", Document({"n": 2}))
        found = await talk.take(3)
        assert [m["msg"] for m in found] == ["removed", "added", "changed"]
        subs[0].added("items", "d", {})
        found = await talk.take(3)
        assert [m["msg"] for m in found] == ["removed", "removed", "nosub"]
        assert found[2]["error"]["error"] == "too-many-documents"


async def test_a_change_of_what_was_not_added_is_an_internal_error(world: World) -> None:
    async def bad(sub: Subscription) -> None:
        sub.changed("items", "a", {"n": 1})

    async with raw(await world.serve(publications={"bad": bad})) as talk:
        with capture_logs():
            await talk.send({"msg": "sub", "id": "1", "name": "bad"})
            assert (await talk.next())["error"]["error"] == 500


async def test_wrong_parameters_of_a_publication(world: World) -> None:
    async def items(sub: Subscription, limit: int) -> None:
        raise AssertionError

    async with raw(await world.serve(publications={"items": items})) as talk:
        await talk.send({"msg": "sub", "id": "1", "name": "items", "params": ["x"]})
        assert (await talk.next())["error"]["error"] == 400


async def test_set_user_id_reruns_the_subscriptions_and_sends_the_difference(
    world: World,
) -> None:
    stopped: list[str | None] = []

    async def mine(sub: Subscription) -> None:
        sub.on_stop(lambda: stopped.append(sub.user_id))
        sub.added("items", "everybody's", {"n": 1})
        if sub.user_id is not None:
            sub.added("items", f"{sub.user_id}'s", {})
        sub.ready()
        sub.unblock()
        await asyncio.Event().wait()

    async def login(context: MethodContext, user_id: str | None) -> str | None:
        await context.set_user_id(user_id)
        return context.user_id

    async def late(context: MethodContext) -> None:
        context.unblock()
        await context.set_user_id("x")

    endpoint = await world.serve({"login": login, "late": late}, {"mine": mine})
    async with raw(endpoint) as talk:
        await talk.send({"msg": "sub", "id": "1", "name": "mine"})
        await talk.take(2)
        await talk.send({"msg": "method", "id": "1", "method": "login", "params": ["ada"]})
        assert await talk.take(4) == [
            {"msg": "added", "collection": "items", "id": "ada's"},
            {"msg": "ready", "subs": ["1"]},
            {"msg": "updated", "methods": ["1"]},
            {"msg": "result", "id": "1", "result": "ada"},
        ]
        assert stopped == [None]
        await talk.send({"msg": "method", "id": "2", "method": "login", "params": [None]})
        assert (await talk.next())["msg"] == "removed"
        await talk.take(3)
        with capture_logs():
            assert (await talk.call("late", call_id="3"))["error"]["error"] == 500
    assert stopped[:2] == [None, "ada"]


async def clock(sub: Subscription) -> None:
    sub.added("clock", "now", {"user": sub.user_id})
    sub.ready()


async def test_48_49_every_session_gets_a_universal_publication(world: World) -> None:
    async def later(sub: Subscription) -> None:
        sub.added("clock", "now", {"late": True})

    endpoint = await world.serve({"echo": echo}, universal=[clock])
    first = {"msg": "added", "collection": "clock", "id": "now", "fields": {"user": None}}
    async with raw(endpoint) as talk:
        assert await talk.next() == first
        endpoint.server.add_universal(later)
        assert await talk.next() == {
            "msg": "changed",
            "collection": "clock",
            "id": "now",
            "fields": {"late": True},
        }
        assert (await talk.call("echo", 1))["result"] == 1  # and no ready before
    async with raw(endpoint) as talk:
        assert [(await talk.next())["msg"] for _ in range(2)] == ["added", "changed"]


async def test_a_universal_publication_ends_without_a_word(world: World) -> None:
    stopped: list[str] = []

    async def failing(sub: Subscription) -> None:
        sub.added("c", "1", {})
        sub.on_stop(lambda: stopped.append("failing"))
        raise MethodError("no")

    async with raw(await world.serve({"echo": echo}, universal=[failing])) as talk:
        assert [(await talk.next())["msg"] for _ in range(2)] == ["added", "removed"]
        assert stopped == ["failing"]
        assert (await talk.call("echo", 1))["result"] == 1


async def test_a_universal_publication_follows_the_user(world: World) -> None:
    async def login(context: MethodContext, name: str) -> None:
        await context.set_user_id(name)

    async with raw(await world.serve({"login": login}, universal=[clock])) as talk:
        await talk.next()
        await talk.send({"msg": "method", "id": "1", "method": "login", "params": ["ada"]})
        assert (await talk.take(3))[0] == {
            "msg": "changed",
            "collection": "clock",
            "id": "now",
            "fields": {"user": "ada"},
        }


async def test_registered_before_connect_a_universal_publication_runs_once(world: World) -> None:
    endpoint = await world.serve()
    async with connect(endpoint.url, compression=None, proxy=None) as connection:
        await eventually(lambda: endpoint.server.connections == 1)
        endpoint.server.add_universal(clock)
        await connection.send('{"msg":"connect","version":"1","support":["1"]}')
        await connection.send('{"msg":"ping"}')
        kinds = [json.loads(await connection.recv())["msg"] for _ in range(3)]
        assert sorted(kinds) == ["added", "connected", "pong"]


async def test_a_publication_that_returns_something_is_broken(world: World) -> None:
    async def wrong(_sub: Subscription) -> Any:
        return 5

    async with raw(await world.serve({}, {"wrong": wrong})) as talk:
        await talk.send({"msg": "sub", "id": "1", "name": "wrong"})
        with capture_logs() as logs:
            assert (await talk.next())["error"]["error"] == 500
        assert logs[0]["event"] == "rpc.publication_failed"


async def test_8_102_a_publisher_knows_its_session(world: World) -> None:
    async def mine(sub: Subscription) -> None:
        await asyncio.sleep(0)
        sub.added("sessions", sub.session.id, {"address": sub.session.client_address})
        await asyncio.sleep(0)
        sub.ready()

    sessions: list[Session] = []
    endpoint = await world.serve({}, {"mine": mine}, on_connection=sessions.append)
    async with raw(endpoint) as talk:
        await talk.send({"msg": "sub", "id": "1", "name": "mine"})
        document, ready = await talk.take(2)
        assert document["id"] == sessions[0].id
        assert document["fields"] == {"address": "127.0.0.1"}
        assert ready["msg"] == "ready"

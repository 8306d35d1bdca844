"""The server over real WebSockets, spoken to text by text."""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from shared.rpc.ddp.document import Document
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ejson import UNDEFINED
from shared.rpc.errors import MethodError
from shared.rpc.server import MethodContext, Server, ServerConfig, Session, Subscription
from shared.rpc.transport import Peer, WebSocketTransport
from tests.shared.rpc.conftest import Endpoint, World
from tests.support.waiting import eventually


class Raw:
    """A connection that is past its handshake, and shows every message."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *messages: dict[str, Any] | str | bytes) -> None:
        for message in messages:
            text = json.dumps(message) if isinstance(message, dict) else message
            await self.connection.send(text)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def take(self, count: int) -> list[dict[str, Any]]:
        return [await self.next() for _ in range(count)]

    async def call(self, name: str, *params: Any, call_id: str = "1") -> dict[str, Any]:
        """Call a method; its result, once ``updated`` has come too."""
        await self.send({"msg": "method", "id": call_id, "method": name, "params": params})
        found = sorted(await self.take(2), key=lambda message: message["msg"])
        assert found[1] == {"msg": "updated", "methods": [call_id]}
        assert found[0]["id"] == call_id
        return found[0]


@contextlib.asynccontextmanager
async def raw(endpoint: Endpoint) -> AsyncIterator[Raw]:
    async with connect(endpoint.url, compression=None, proxy=None) as connection:
        talk = Raw(connection)
        await talk.send('{"msg":"connect","version":"1","support":["1"]}')
        assert (await talk.next())["msg"] == "connected"
        yield talk


async def echo(_context: MethodContext, *params: Any) -> Any:
    return params[0] if params else UNDEFINED


async def add(_context: MethodContext, a: int, b: int = 1) -> int:
    return a + b


async def test_results(world: World) -> None:
    async with raw(await world.serve({"echo": echo})) as talk:
        assert (await talk.call("echo", {"$date": 0}))["result"] == {"$date": 0}
        assert "result" not in await talk.call("echo", call_id="2")
        assert (await talk.call("echo", None, call_id="3"))["result"] is None


async def test_a_session_has_a_new_id_of_17_characters(world: World) -> None:
    endpoint = await world.serve()
    ids = set()
    for _ in range(3):
        async with connect(endpoint.url, proxy=None) as connection:
            await connection.send('{"msg":"connect","version":"1","support":["1"]}')
            ids.add(json.loads(await connection.recv())["session"])
    assert len(ids) == 3
    assert {len(name) for name in ids} == {17}


@pytest.mark.parametrize("params", [[], [1, 2, 3], ["x"], [1, None], [1.5]])
async def test_wrong_parameters_are_the_callers_error(world: World, params: list[Any]) -> None:
    async with raw(await world.serve({"add": add})) as talk:
        error = (await talk.call("add", *params))["error"]
        assert (error["error"], error["reason"]) == (400, "Match failed")
        assert (await talk.call("add", 2, call_id="2"))["result"] == 3


async def boom(_context: MethodContext) -> None:
    raise TypeError("a secret")


async def wild(_context: MethodContext) -> object:
    return object()


async def cancelled_inside(_context: MethodContext) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("method", [boom, wild, cancelled_inside])
async def test_an_internal_error_is_logged_and_shown_as_500(world: World, method: Any) -> None:
    async with raw(await world.serve({"m": method, "echo": echo})) as talk:
        with capture_logs() as logs:
            error = (await talk.call("m"))["error"]
        assert error == {
            "isClientSafe": True,
            "error": 500,
            "reason": "Internal server error",
            "message": "Internal server error [500]",
            "errorType": "Meteor.Error",
        }
        (entry,) = [entry for entry in logs if entry["event"] == "rpc.method_failed"]
        assert entry["method"] == "m"
        assert entry["exc_info"]
        assert (await talk.call("echo", 1, call_id="2"))["result"] == 1


async def test_methods_run_one_by_one_unless_they_unblock(world: World) -> None:
    order: list[str] = []
    gates = {name: asyncio.Event() for name in ("a", "b", "c")}

    async def wait(context: MethodContext, name: str, unblock: bool) -> str:
        order.append(f"start {name}")
        if unblock:
            context.unblock()
        await gates[name].wait()
        order.append(f"end {name}")
        return name

    async with raw(await world.serve({"wait": wait})) as talk:
        for name, unblock in (("a", True), ("b", False), ("c", False)):
            params = [name, unblock]
            await talk.send({"msg": "method", "id": name, "method": "wait", "params": params})
        await talk.send({"msg": "ping", "id": "p"})
        assert await talk.next() == {"msg": "pong", "id": "p"}
        await eventually(lambda: order == ["start a", "start b"])
        gates["c"].set()
        gates["b"].set()
        assert [m.get("id") for m in await talk.take(4)] == [None, "b", None, "c"]
        gates["a"].set()
        assert [m.get("id") for m in await talk.take(2)] == [None, "a"]
        assert order[2:] == ["end b", "start c", "end c", "end a"]


async def test_many_pipelined_calls_are_answered_in_order(world: World) -> None:
    async with raw(await world.serve({"echo": echo})) as talk:
        for number in range(500):
            call = {"msg": "method", "id": str(number), "method": "echo", "params": [number]}
            await talk.send(call)
        results = [m["result"] for m in await talk.take(1000) if m["msg"] == "result"]
        assert results == list(range(500))


async def test_context_variables_do_not_leak_into_the_next_method(world: World) -> None:
    import contextvars

    mark = contextvars.ContextVar("mark", default="clean")

    async def swap(_context: MethodContext, value: str) -> str:
        before = mark.get()
        mark.set(value)
        return before

    async with raw(await world.serve({"swap": swap})) as talk:
        for number in range(3):
            call = {"msg": "method", "id": str(number), "method": "swap", "params": ["x"]}
            await talk.send(call)
        results = [m["result"] for m in await talk.take(6) if m["msg"] == "result"]
        assert results == ["clean"] * 3


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


# Sessions


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
            endpoint.cut()
        await eventually(lambda: endpoint.server.connections == 0)
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
        async def __aiter__(self) -> AsyncIterator[str]:
            await asyncio.Event().wait()
            yield ""

        async def send(self, texts: Any) -> None: ...

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


# Publications


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


async def test_a_user_may_be_known_from_the_start() -> None:
    users: list[str | None] = []
    texts = ['{"msg":"connect","version":"1","support":["1"]}']

    class Scripted:
        async def __aiter__(self) -> AsyncIterator[str]:
            for text in texts:
                yield text

        async def send(self, texts: Any) -> None: ...

        async def close(self, code: int, reason: str) -> None: ...

    server = Server({}, on_connection=lambda session: users.append(session.user_id))
    await server.serve(Scripted(), user_id="ada")
    assert users == ["ada"]


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


async def drawn(context: MethodContext) -> list[Any]:
    stream = context.random_stream("/collection/x")
    return [context.random_seed, stream.id(), context.random_stream("/collection/x").id()]


async def test_ids_come_from_the_seed_of_the_call(world: World) -> None:
    async with raw(await world.serve({"drawn": drawn})) as talk:
        method = {"msg": "method", "id": "1", "method": "drawn", "randomSeed": "abc123"}
        await talk.send(method)
        _, result = await talk.take(2)
        assert result["result"] == ["abc123", "vCmpe6YmPDL5J27SB", "d6KHYTWtRhg4g4KdE"]
        unseeded = [(await talk.call("drawn", call_id=i))["result"] for i in ("2", "3")]
        assert unseeded[0][0] is None
        assert unseeded[0][1] != unseeded[1][1]


# Universal publications


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


# The write fence


async def test_updated_comes_after_the_data_of_the_methods_own_writes(world: World) -> None:
    subs: list[Subscription] = []
    writes: list[Any] = []

    async def items(sub: Subscription) -> None:
        sub.added("items", "a", {"n": 1})
        subs.append(sub)
        sub.ready()

    async def write(context: MethodContext) -> str:
        writes.append(context.begin_write())
        return "written"

    async def write_now(context: MethodContext) -> None:
        with context.begin_write():
            subs[0].changed("items", "a", {"n": 3})

    endpoint = await world.serve({"write": write, "writeNow": write_now}, {"items": items})
    async with raw(endpoint) as talk:
        await talk.send({"msg": "sub", "id": "s", "name": "items"})
        await talk.take(2)
        await talk.send({"msg": "method", "id": "1", "method": "write"})
        assert await talk.next() == {"msg": "result", "id": "1", "result": "written"}
        subs[0].changed("items", "a", {"n": 2})
        writes[0].committed()
        writes[0].committed()
        assert [(await talk.next())["msg"] for _ in range(2)] == ["changed", "updated"]
        await talk.send({"msg": "method", "id": "2", "method": "writeNow"})
        assert [m["msg"] for m in await talk.take(3)] == ["changed", "updated", "result"]


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


def test_39_what_is_no_function_is_refused() -> None:
    wrong: Any = 5
    with pytest.raises(TypeError):
        Server({"m": wrong})
    with pytest.raises(TypeError):
        Server({}, {"p": wrong})


async def test_54_a_result_is_written_at_once(world: World) -> None:
    shared: list[int] = []

    async def append(_context: MethodContext) -> list[int]:
        shared.append(len(shared))
        return shared

    async with raw(await world.serve({"append": append})) as talk:
        await talk.send(*({"msg": "method", "id": n, "method": "append"} for n in "12"))
        answers = await talk.take(4)
    assert [m["result"] for m in answers if m["msg"] == "result"] == [[0], [0, 1]]

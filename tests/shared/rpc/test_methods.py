"""Methods over real WebSockets: in their order, checked, and answered."""

import asyncio
import contextvars
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.rpc.server import MethodContext, Subscription
from tests.shared.rpc.conftest import World, echo, raw
from tests.support.waiting import eventually


async def add(_context: MethodContext, a: int, b: int = 1) -> int:
    return a + b


async def test_results(world: World) -> None:
    async with raw(await world.serve({"echo": echo})) as talk:
        assert (await talk.call("echo", {"$date": 0}))["result"] == {"$date": 0}
        assert "result" not in await talk.call("echo", call_id="2")
        assert (await talk.call("echo", None, call_id="3"))["result"] is None


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


async def test_54_a_result_is_written_at_once(world: World) -> None:
    shared: list[int] = []

    async def append(_context: MethodContext) -> list[int]:
        shared.append(len(shared))
        return shared

    async with raw(await world.serve({"append": append})) as talk:
        await talk.send(*({"msg": "method", "id": n, "method": "append"} for n in "12"))
        answers = await talk.take(4)
    assert [m["result"] for m in answers if m["msg"] == "result"] == [[0], [0, 1]]

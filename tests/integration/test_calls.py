"""Calls from HTTP and DDP down to a child and back: results, errors, progress, cancel."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.support.ddp import DdpClient, Wire, method
from tests.support.stack import Api, Stack
from tests.support.waiting import eventually


@pytest.mark.parametrize("value", [None, 5, "text", [1, {"a": True}], {"$date": 5}, "ü" * 200_000])
async def test_echo_returns_its_value(ann: Api, value: Any) -> None:
    status, result = await ann.json("POST", "/api/calls/system.echo", {"value": value})
    assert (status, result) == (200, value)


@pytest.mark.parametrize(
    ("how", "code", "status"),
    [("exit", "crashed", 500), ("segfault", "crashed", 500), ("oom", "crashed", 500)],
)
async def test_a_crash_ends_only_its_own_call(ann: Api, how: str, code: str, status: int) -> None:
    async with asyncio.TaskGroup() as group:
        neighbour = group.create_task(ann.json("POST", "/api/calls/system.sleep", {"ms": 300}))
        crash = group.create_task(ann.json("POST", "/api/calls/system.crash", {"how": how}))
    answered, problem = crash.result()
    assert (answered, problem["code"]) == (status, code)
    assert neighbour.result()[0] == 200


async def test_ddp_call_with_progress(stack: Stack, ann: Api) -> None:
    async with DdpClient.connected(ann) as ddp:
        await ddp.subscribe("calls.progress")
        result = await ddp.call("jobs.call", "system.burn", {"ms": 400}, {"id": "mine"})
        assert result is None
        seen = [m for m in ddp.received if m.get("collection") == "progress"]
        assert seen[0]["msg"] == "added"
        assert seen[0]["id"] == "mine"
        assert 0 <= seen[0]["fields"]["done"] <= seen[0]["fields"]["total"] == 400
        assert seen[-1] == {"msg": "removed", "collection": "progress", "id": "mine"}


async def test_a_ddp_call_can_be_cancelled_by_its_name(ann: Api) -> None:
    async with DdpClient.connected(ann) as ddp:
        await ddp.subscribe("calls.progress")
        call = await ddp.send_method("jobs.call", "system.sleep", {"ms": 60_000}, {"id": "long"})
        await ddp.until(lambda m: m.get("collection") == "progress")
        assert await ddp.call("jobs.cancelCall", "long") is True
        assert (await ddp.result(call))["error"]["error"] == "cancelled"
        assert await ddp.call("jobs.cancelCall", "long") is False


async def test_a_caller_who_leaves_ends_the_run(stack: Stack, ann: Api) -> None:
    """Both slots are taken by calls whose callers go away; then both are free again."""
    callers = [asyncio.ensure_future(_sleep(ann, 60_000)) for _ in range(2)]
    await eventually(lambda: _busy(stack, 2), 10, "both slots busy")
    for caller in callers:
        caller.cancel()
    await eventually(lambda: _busy(stack, 0), 10, "both slots free")
    async with DdpClient.connected(ann) as ddp:
        await ddp.send_method("jobs.call", "system.sleep", {"ms": 60_000})
        await eventually(lambda: _busy(stack, 1), 10, "one slot busy")
        await ddp.socket.close(code=1001)  # as a browser does that leaves the page
        await eventually(lambda: _busy(stack, 0), 10, "the slot free after the socket closed")


async def test_a_run_goes_on_while_its_callers_connection_is_lost(stack: Stack) -> None:
    """What a web service sees whose connection to the jobs service breaks, but not itself."""
    url = stack.jobs.url + "/websocket"
    call = {"type": "system.sleep", "params": {"ms": 200}}
    async with Wire.to(url) as wire:
        await wire.send(method("1", "jobs.call", call))
        await eventually(lambda: _busy(stack, 1), 10, "the run has begun")
        wire.cut()
    async with Wire.to(url, wire.offer()) as again:
        assert again.session == wire.session
        await again.send(method("1", "jobs.call", call))  # as a client does that can't know
        updated, result = [json.loads(text) for text in await again.take(2)]
        assert (updated["msg"], result["msg"], "error" in result) == ("updated", "result", False)
        assert await again.ask() == []


async def test_a_caller_who_says_goodbye_ends_the_run(stack: Stack) -> None:
    async with Wire.to(stack.jobs.url + "/websocket") as wire:
        await wire.send(
            method("1", "jobs.call", {"type": "system.sleep", "params": {"ms": 60_000}})
        )
        await eventually(lambda: _busy(stack, 1), 10, "the run has begun")
        await wire.send({"msg": "disconnect"})
        await eventually(lambda: _busy(stack, 0), 10, "the slot is free")


async def test_the_contracts_time_limit_kills_a_hang(ann: Api) -> None:
    """``system.crash`` may take 10 seconds, and a hang holds the GIL: only SIGKILL ends it."""
    status, problem = await ann.json("POST", "/api/calls/system.crash", {"how": "hang"})
    assert (status, problem["code"]) == (504, "time-limit")


async def test_any_ddp_client_can_use_the_jobs_service(stack: Stack) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{stack.jobs.url}/websocket") as socket,
    ):
        ddp = DdpClient(socket)
        async with ddp.running():
            await ddp.connect()
            assert await ddp.call("jobs.call", {"type": "system.echo", "params": {"value": 5}}) == 5
            with pytest.raises(AssertionError, match="unknown-type"):
                await ddp.call("jobs.call", {"type": "nope"})


async def test_a_malformed_object_id_is_the_senders_mistake_and_harms_nobody(ann: Api) -> None:
    wrong = {"$type": "oid", "$value": "xx"}
    async with DdpClient.connected(ann) as ddp:
        for params in ([wrong], ["system.echo", {"value": wrong}]):
            answer = await ddp.result(await ddp.send_method("jobs.call", *params))
            assert answer["error"]["error"] == 400
        right = {"$type": "oid", "$value": "a" * 24}
        answer = await ddp.result(
            await ddp.send_method("jobs.call", "system.echo", {"value": right})
        )
        assert answer["error"]["error"] == "bad-params"
        assert await ddp.call("jobs.call", "system.echo", {"value": 1}) == 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/version"])
async def test_both_services_answer_their_operational_pages(
    stack: Stack, nobody: Api, path: str
) -> None:
    for service in (stack.web, stack.jobs):
        async with nobody.http.get(service.url + path) as answer:
            assert answer.status == 200
            text = await answer.text()
            assert ("tandem_" in text) if path == "/metrics" else (service.name in text)


async def test_the_jobs_service_answers_404_elsewhere(stack: Stack, nobody: Api) -> None:
    async with nobody.http.get(stack.jobs.url + "/nope") as answer:
        assert answer.status == 404


async def _sleep(api: Api, ms: int) -> None:
    await api.json("POST", "/api/calls/system.sleep", {"ms": ms})


async def _busy(stack: Stack, wanted: int) -> bool:
    async with stack.client() as api, api.http.get(stack.jobs.url + "/readyz") as answer:
        return bool((await answer.json())["pool"]["busy"] == wanted)

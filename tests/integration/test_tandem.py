"""The link between the services: deadlines, cancel, progress and bytes, down to the child."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.rpc import trace
from shared.rpc.client import Client, ClientConfig
from shared.rpc.ddp import tandem
from shared.rpc.ddp.client import ClientSessionConfig
from shared.rpc.errors import CallTimeout, MethodError
from tests.support.ddp import DdpClient
from tests.support.stack import Api, Stack
from tests.support.waiting import eventually

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATTERN = bytes(range(251)) * 4_000


@pytest.fixture
async def jobs(stack: Stack) -> AsyncIterator[Client]:
    """A client of the jobs service, as the web service has one."""
    config = ClientConfig(session=ClientSessionConfig(versions=tandem.VERSIONS))
    url = stack.jobs.url.replace("http", "ws") + "/websocket"
    async with Client(url, config=config) as client:
        await client.connected()
        yield client


def sleep(ms: int) -> dict[str, Any]:
    return {"type": "system.sleep", "params": {"ms": ms}}


async def test_who_cancels_a_call_ends_the_run(stack: Stack, jobs: Client) -> None:
    call = asyncio.ensure_future(jobs.call("jobs.call", sleep(60_000)))
    await eventually(lambda: _busy(stack, 1))
    call.cancel()
    await eventually(lambda: _busy(stack, 0))


async def test_a_deadline_ends_the_run(stack: Stack, jobs: Client) -> None:
    with pytest.raises(CallTimeout):
        await jobs.call("jobs.call", sleep(60_000), deadline=0.2)
    await eventually(lambda: _busy(stack, 0))


async def test_a_run_says_how_far_it_is(jobs: Client) -> None:
    told: list[tuple[Any, ...]] = []
    await jobs.call("jobs.call", sleep(300), on_progress=lambda *step: told.append(step))
    assert told[-1] == (300, 300, "")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


async def test_bytes_go_to_a_child_and_back(jobs: Client) -> None:
    data = PATTERN * 5
    echo = {"type": "system.echo", "params": {"value": {"a": [data, b""]}}}
    assert await jobs.call("jobs.call", echo) == {"a": [data, b""]}


async def test_a_browser_s_bytes_go_there_too(ann: Api) -> None:
    data = {"$binary": "AAEC"}
    async with DdpClient.connected(ann) as ddp:
        assert await ddp.call("jobs.call", "system.echo", {"value": [data]}) == [data]


async def test_a_trace_reaches_the_log_of_the_run(stack: Stack, jobs: Client, ann: Api) -> None:
    with trace.bound(TRACE), pytest.raises(MethodError):
        await jobs.call("jobs.call", {"type": "system.crash", "params": {"how": "exit"}})
    await eventually(lambda: TRACE in stack.jobs.log())
    other = TRACE.replace("0af7", "0af8")
    async with ann.http.post(
        f"{stack.web.url}/api/calls/system.crash",
        json={"how": "exit"},
        headers={"traceparent": other},
    ) as answer:
        assert answer.status == 500
    await eventually(lambda: other in stack.jobs.log())


async def _busy(stack: Stack, wanted: int) -> bool:
    async with stack.client() as api, api.http.get(stack.jobs.url + "/readyz") as answer:
        return bool((await answer.json())["pool"]["busy"] == wanted)

"""``tandem1`` over real sockets: bytes both ways, cancel, deadlines and progress."""

import asyncio
import re
from typing import Any

import pytest

from shared.rpc import trace
from shared.rpc.client import ClientConfig
from shared.rpc.ddp import tandem
from shared.rpc.ddp.blob_receiver import BlobLimits
from shared.rpc.ddp.client import ClientSessionConfig
from shared.rpc.errors import CallTimeout, MethodError
from shared.rpc.keeper import Backoff
from shared.rpc.server import MethodContext, ServerConfig, Subscription
from tests.shared.rpc.conftest import Endpoint, World, echo
from tests.support.waiting import eventually

LARGE = bytes(range(251)) * 4_000
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def client_config(**session: Any) -> ClientConfig:
    return ClientConfig(
        session=ClientSessionConfig(versions=tandem.VERSIONS, **session),
        backoff=Backoff(base=0.001, limit=0.01),
    )


class Methods:
    """A server's methods, and what happened to them."""

    def __init__(self) -> None:
        self.began = 0
        self.cancelled = asyncio.Event()
        self.contexts: list[MethodContext] = []
        self.traces: list[str | None] = []

    async def wait(self, context: MethodContext, *params: Any) -> None:
        context.unblock()
        self.began += 1
        self.contexts.append(context)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def steps(self, context: MethodContext) -> str:
        context.progress(1, 3, "begun")
        context.progress(2)
        return "done"

    async def traced(self, context: MethodContext) -> None:
        self.traces.append(trace.current())

    async def make(self, context: MethodContext, size: int) -> bytes:
        return bytes(size)


@pytest.fixture
def methods() -> Methods:
    return Methods()


async def serve(world: World, methods: Methods, **config: Any) -> Endpoint:
    offered = {"versions": tandem.VERSIONS} | config
    return await world.serve(
        {
            "echo": echo,
            "wait": methods.wait,
            "steps": methods.steps,
            "traced": methods.traced,
            "make": methods.make,
        },
        {"picture": picture},
        config=ServerConfig(**offered),
    )


async def picture(sub: Subscription, data: bytes) -> None:
    sub.added("pictures", "a", {"data": data})
    sub.ready()
    sub.changed("pictures", "a", {"data": data[:3], "size": len(data)})


@pytest.mark.parametrize(
    ("version", "size"),
    [("1", 5), ("1", 65_537), *(("tandem1", size) for size in (0, 5, 65_536, 65_537, 3_000_000))],
)
async def test_bytes_come_back_as_they_went(
    world: World, methods: Methods, version: str, size: int
) -> None:
    versions = tandem.VERSIONS[tandem.VERSIONS.index(version) :]
    endpoint = await serve(world, methods, versions=versions)
    client = await world.connected(endpoint, config=client_config())
    data = (LARGE * 4)[:size]
    value = {"name": "x", "data": [data, data], "$blob": 0}
    assert await client.call("echo", value, deadline=30) == value
    assert await client.call("echo", {"$blob": data}) == {"$blob": data}


async def test_small_calls_overtake_large_ones(world: World, methods: Methods) -> None:
    endpoint = await serve(world, methods)
    client = await world.connected(endpoint, config=client_config())
    order = []

    async def call(value: bytes) -> None:
        await client.call("echo", value)
        order.append(len(value))

    async with asyncio.TaskGroup() as group:
        group.create_task(call(LARGE * 10))
        group.create_task(call(b"x"))
    assert order == [1, len(LARGE) * 10]


async def test_documents_with_bytes(world: World, methods: Methods) -> None:
    endpoint = await serve(world, methods)
    client = await world.connected(endpoint, config=client_config())
    handle = client.subscribe("picture", LARGE)
    await handle.ready()
    pictures = client.collection("pictures").documents
    await eventually(lambda: pictures["a"] == {"data": LARGE[:3], "size": len(LARGE)})
    sessions = [runner._protocol for runner in endpoint.server._sessions]
    receiver = sessions[0]._blobs.receiver  # type: ignore[attr-defined]
    assert receiver.held_bytes > len(LARGE)  # as long as it is subscribed
    await handle.stop()
    await eventually(lambda: receiver.held_bytes == 0)


async def test_a_caller_who_leaves_has_the_method_cancelled(world: World, methods: Methods) -> None:
    endpoint = await serve(world, methods)
    client = await world.connected(endpoint, config=client_config())
    caller = asyncio.ensure_future(client.call("wait"))
    await eventually(lambda: methods.began)
    caller.cancel()
    await asyncio.wait_for(methods.cancelled.wait(), 10)
    assert await client.call("echo", 5) == 5


async def test_a_call_ends_at_its_deadline_on_both_sides(world: World, methods: Methods) -> None:
    endpoint = await serve(world, methods)
    client = await world.connected(endpoint, config=client_config())
    with pytest.raises(CallTimeout):
        await client.call("wait", deadline=0.02)
    await asyncio.wait_for(methods.cancelled.wait(), 10)
    assert methods.contexts[0].deadline is not None


async def test_progress(world: World, methods: Methods) -> None:
    endpoint = await serve(world, methods)
    client = await world.connected(endpoint, config=client_config())
    told: list[tuple[Any, ...]] = []
    answer = await client.call("steps", on_progress=lambda *progress: told.append(progress))
    assert answer == "done"
    assert told == [(1, 3, "begun"), (2, None, "")]


async def test_a_trace_is_passed_on(world: World, methods: Methods) -> None:
    endpoint = await serve(world, methods)
    client = await world.connected(endpoint, config=client_config())
    with trace.bound(TRACE):
        await client.call("traced")
    with trace.bound("nonsense"):
        await client.call("traced")
    assert methods.traces == [TRACE, None]


async def test_a_client_goes_on_in_version_1_and_comes_back(world: World, methods: Methods) -> None:
    endpoint = await serve(world, methods, versions=("1",))
    client = await world.connected(endpoint, config=client_config())
    told: list[tuple[Any, ...]] = []
    assert await client.call("steps", on_progress=lambda *p: told.append(p)) == "done"
    assert told == []
    with pytest.raises(CallTimeout):
        await client.call("wait", deadline=0.02)
    newer = await serve(world, methods)
    endpoint.server = newer.server
    endpoint.cut()
    await eventually(lambda: newer.server.sessions == 1 and client.status == "connected")
    assert await client.call("steps", on_progress=lambda *p: told.append(p)) == "done"
    assert len(told) == 2


@pytest.mark.parametrize(("size", "fits"), [(100_000, True), (100_001, False)])
async def test_one_blob_has_a_limit_each_way(
    world: World, methods: Methods, size: int, fits: bool
) -> None:
    limits = BlobLimits(max_blob_bytes=100_000, max_held_bytes=300_000)
    at_server = await serve(world, methods, blobs=limits)
    sender = await world.connected(at_server, config=client_config())
    at_client = await serve(world, methods)
    receiver = await world.connected(at_client, config=client_config(blobs=limits))
    calls = [sender.call("echo", bytes(size)), receiver.call("make", size)]
    for call in calls:
        if fits:
            assert await call == bytes(size)
        else:
            with pytest.raises(MethodError, match=re.escape("[too-large]")):
                await call
    assert await sender.call("echo", 1) == await receiver.call("echo", 1) == 1


async def test_results_that_wait_have_a_limit(world: World, methods: Methods) -> None:
    limits = BlobLimits(max_blob_bytes=1_000_000, max_held_bytes=150_000)
    endpoint = await serve(world, methods, blobs=limits)
    client = await world.connected(endpoint, config=client_config())
    assert await client.call("make", 150_000) == bytes(150_000)
    await eventually(lambda: _unconfirmed(endpoint) == 0)
    with pytest.raises(MethodError, match=re.escape("[too-large]")):
        await client.call("make", 150_001)
    assert await client.call("make", 150_000) == bytes(150_000)


def _unconfirmed(endpoint: Endpoint) -> int:
    (runner,) = endpoint.server._sessions
    session: Any = runner._protocol
    return int(session._unconfirmed_bytes)

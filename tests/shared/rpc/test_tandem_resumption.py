"""``tandem1`` over a connection that breaks: nothing is lost, and nothing runs twice."""

import asyncio
from typing import Any

import pytest

from shared.rpc.client import ClientConfig
from shared.rpc.ddp import tandem
from shared.rpc.ddp.client import ClientSessionConfig
from shared.rpc.keeper import Backoff
from shared.rpc.server import Method, MethodContext, ServerConfig
from tests.shared.rpc.conftest import Endpoint, World
from tests.support.proxy import Fault, Kind, Line, Plan, Proxy
from tests.support.waiting import eventually

LARGE = bytes(range(251)) * 80_000  # 20 MB
CONFIG = ClientConfig(
    session=ClientSessionConfig(versions=tandem.VERSIONS), backoff=Backoff(base=0.001, limit=0.01)
)


class Work:
    """Methods that count how often they run."""

    def __init__(self) -> None:
        self.runs = 0
        self.ended = asyncio.Event()

    async def take(self, _context: MethodContext, data: bytes) -> int:
        self.runs += 1
        return len(data)

    async def give(self, _context: MethodContext, size: int) -> list[bytes]:
        self.runs += 1
        return [LARGE[:size], b"and more"]

    async def wait(self, context: MethodContext) -> None:
        context.unblock()
        self.runs += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def serve(world: World, work: Work) -> Endpoint:
    methods: dict[str, Method] = {"take": work.take, "give": work.give, "wait": work.wait}
    return await world.serve(methods, config=ServerConfig(versions=tandem.VERSIONS))


def first_only(plan: Plan) -> Any:
    return lambda number: plan if number == 0 else Plan()


@pytest.mark.parametrize("after", [500, 10_000_000, 19_990_000, 20_081_000])
async def test_a_drop_while_parameters_are_sent(world: World, after: int) -> None:
    work = Work()
    endpoint = await serve(world, work)
    plan = Plan(up=Line(fault=Fault(Kind.RESET, after)))
    async with Proxy(endpoint.port, first_only(plan)).listening() as proxy:
        client = await world.client(proxy.url, config=CONFIG)
        await client.connected()
        assert await client.call("take", LARGE) == len(LARGE)
        assert (work.runs, proxy.faults) == (1, [Kind.RESET])
        assert endpoint.server.sessions == 1


@pytest.mark.parametrize("after", [10_000_000, 20_080_000])
async def test_a_drop_while_a_result_is_sent(world: World, after: int) -> None:
    work = Work()
    endpoint = await serve(world, work)
    plan = Plan(down=Line(fault=Fault(Kind.RESET, after)))
    async with Proxy(endpoint.port, first_only(plan)).listening() as proxy:
        client = await world.client(proxy.url, config=CONFIG)
        await client.connected()
        assert await client.call("give", len(LARGE)) == [LARGE, b"and more"]
        assert (work.runs, proxy.faults) == (1, [Kind.RESET])
        assert endpoint.server.sessions == 1


async def test_what_was_sent_is_confirmed_and_let_go(world: World) -> None:
    endpoint = await serve(world, Work())
    client = await world.connected(endpoint, config=CONFIG)
    await client.call("give", len(LARGE))
    (runner,) = endpoint.server._sessions
    session: Any = runner._protocol
    await eventually(lambda: session._unconfirmed_bytes == 0)
    assert session._outbox.kept_bytes < 1000
    assert session._blobs.receiver.held_bytes == 0


async def test_a_cancel_is_made_good_for_after_a_drop(world: World) -> None:
    work = Work()
    endpoint = await serve(world, work)
    client = await world.connected(endpoint, config=CONFIG)
    call = asyncio.ensure_future(client.call("wait"))
    await eventually(lambda: work.runs)
    client.on_status(lambda now: now.status == "waiting" and call.cancel())
    endpoint.cut()
    await asyncio.wait_for(work.ended.wait(), 10)
    assert endpoint.server.sessions == 1


async def test_a_deadline_holds_while_the_client_is_away(world: World) -> None:
    work = Work()
    endpoint = await serve(world, work)
    client = await world.connected(endpoint, config=CONFIG)
    call = asyncio.ensure_future(client.call("wait", deadline=0.2))
    await eventually(lambda: work.runs)
    client._keeper._backoff = Backoff(base=100, limit=100)  # it does not come back
    endpoint.cut()
    await asyncio.wait_for(work.ended.wait(), 10)
    with pytest.raises(Exception, match="no answer"):
        await call

"""A session outlives its connection: Meteor's resumption, case by case, on real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from shared.rpc.server import MethodContext, Server, Session
from tests.conformance.conftest import serving
from tests.conformance.server import ddp_server
from tests.support.ddp import CONNECT, Wire, method, sub
from tests.support.waiting import eventually


def kinds(texts: list[str]) -> list[str]:
    return [json.loads(text)["msg"] for text in texts]


class Bench:
    """The conformance peer, with its sessions in sight."""

    def __init__(self, stack: AsyncExitStack, ddp: Server, url: str) -> None:
        self._stack = stack
        self.ddp = ddp
        self.url = url
        self.sessions: list[Session] = []
        self.ended: list[str] = []
        ddp.on_connection(self._opened)

    async def connect(self, connect: str = CONNECT) -> Wire:
        return await self._stack.enter_async_context(Wire.to(self.url, connect))

    async def drop(self, wire: Wire) -> None:
        """Cut a connection, and wait until the server has noticed."""
        wire.cut()
        await eventually(lambda: self.ddp.connections == 0)

    def _opened(self, session: Session) -> None:
        self.sessions.append(session)
        session.on_close(lambda: self.ended.append(session.id))


Serve = Callable[..., Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def serve(**config: Any) -> Bench:
            ddp = ddp_server(**config)
            url = await stack.enter_async_context(serving(ddp))
            return Bench(stack, ddp, url)

        yield serve


@pytest.fixture
async def bench(serve: Serve) -> Bench:
    found: Bench = await serve()
    return found


async def test_an_unexpected_drop_keeps_the_session(bench: Bench) -> None:
    wire = await bench.connect()
    await bench.drop(wire)
    assert (bench.ddp.sessions, bench.ended) == (1, [])
    again = await bench.connect(wire.offer())
    assert again.session == wire.session
    answers = await again.ask(method("1", "conn"))
    assert json.loads(answers[1])["result"]["id"] == wire.session


async def test_on_connection_is_not_called_on_a_resume(bench: Bench) -> None:
    wire = await bench.connect()
    await bench.drop(wire)
    await bench.connect(wire.offer())
    assert [session.id for session in bench.sessions] == [wire.session]


async def test_a_replacement_takes_over_from_a_socket_that_is_still_open(bench: Bench) -> None:
    wire = await bench.connect()
    await wire.ask(sub("1", "items"))
    again = await bench.connect(wire.offer())
    assert again.session == wire.session
    assert await wire.closed() == (1000, [])
    assert kinds(await again.ask(method("1", "touch"))) == [
        *("changed", "removed", "updated", "result")
    ]
    await eventually(lambda: bench.ddp.connections == 1)
    assert (bench.ddp.sessions, bench.ended) == (1, [])


async def test_what_waits_in_the_grace_period_is_delivered_in_order(bench: Bench) -> None:
    wire, other = await bench.connect(), await bench.connect()
    await wire.ask(sub("1", "items"))
    wire.cut()
    await eventually(lambda: bench.ddp.connections == 1)
    for ms in (1, 2, 3):
        await other.send(method(str(ms), "write", ms))
        while "updated" not in await other.next():
            pass
    again = await bench.connect(wire.offer())
    changes = [json.loads(text) for text in await again.take(3)]
    assert [change["fields"]["w"] for change in changes] == [1, 2, 3]


async def test_what_was_sent_and_lost_is_sent_again(bench: Bench) -> None:
    """The client has received less than the server has sent: the rest, in order."""
    wire = await bench.connect()
    before = wire.received
    expected = await wire.ask(sub("1", "items"), method("1", "dt"))
    await bench.drop(wire)
    again = await bench.connect(wire.offer(receivedCount=before))
    assert again.session == wire.session
    assert await again.take(len(expected)) == expected


async def test_the_tail_survives_another_drop(bench: Bench) -> None:
    wire = await bench.connect()
    before = wire.received
    expected = await wire.ask(sub("1", "items"))
    for _ in range(3):
        await bench.drop(wire)
        wire = await bench.connect(wire.offer(receivedCount=before, session=wire.session))
    assert await wire.take(len(expected)) == expected


@pytest.mark.parametrize("off", [1, 1_000, -99])
async def test_a_count_that_does_not_fit_begins_anew(bench: Bench, off: int) -> None:
    wire = await bench.connect()
    await wire.ask(sub("1", "items"))
    await bench.drop(wire)
    again = await bench.connect(wire.offer(receivedCount=wire.received + off))
    assert again.session != wire.session
    assert bench.ended == [wire.session]
    assert kinds(await again.ask(method("1", "touch"))) == ["updated", "result"]


async def test_a_session_without_a_count_begins_anew_and_retires_the_old_one(
    bench: Bench,
) -> None:
    wire = await bench.connect()
    await bench.drop(wire)
    offer = json.loads(wire.offer())
    del offer["receivedCount"]
    again = await bench.connect(json.dumps(offer))
    assert again.session != wire.session
    assert bench.ended == [wire.session]


async def test_an_unknown_session_is_not_claimed(bench: Bench) -> None:
    wire = await bench.connect(json.dumps(json.loads(CONNECT) | {"session": "x" * 17}))
    assert wire.session != "x" * 17


async def test_what_is_kept_is_bounded(serve: Serve) -> None:
    bench = await serve(replay_bytes=1000)
    wire = await bench.connect()
    before = wire.received
    await wire.ask(method("1", "echo", "x" * 1000))
    await bench.drop(wire)
    again = await bench.connect(wire.offer(receivedCount=before))
    assert again.session != wire.session


async def test_too_much_for_an_absent_client_ends_its_session(serve: Serve) -> None:
    bench = await serve(replay_bytes=1000)
    wire = await bench.connect()
    await wire.send(method("1", "slow", 50, "x" * 1000))
    await wire.send({"msg": "ping"})
    assert await wire.next() == '{"msg":"pong"}'  # so the method has begun
    wire.cut()
    await eventually(lambda: bench.ended == [wire.session])
    again = await bench.connect(wire.offer())
    assert again.session != wire.session


async def test_zero_grace_disables_it(serve: Serve) -> None:
    bench = await serve(resume_timeout=0)
    wire = await bench.connect()
    await bench.drop(wire)
    assert bench.ended == [wire.session]
    again = await bench.connect(wire.offer())
    assert again.session != wire.session


async def test_nobody_comes_back_in_time(serve: Serve) -> None:
    bench = await serve(resume_timeout=0.02)
    wire = await bench.connect()
    await wire.ask(sub("1", "items"))
    wire.cut()
    await eventually(lambda: bench.ended == [wire.session])
    assert bench.ddp.sessions == 0


async def test_a_disconnect_ends_it_at_once(bench: Bench) -> None:
    wire = await bench.connect()
    await wire.send({"msg": "disconnect"})
    assert await wire.closed() == (1000, [])
    assert bench.ended == [wire.session]
    again = await bench.connect(wire.offer())
    assert again.session != wire.session


@pytest.mark.parametrize(("code", "sessions"), [(1001, 0), (1000, 1), (4000, 1)])
async def test_a_browser_that_leaves_the_page_will_not_come_back(
    bench: Bench, code: int, sessions: int
) -> None:
    wire = await bench.connect()
    await wire.socket.close(code=code)
    await eventually(lambda: bench.ddp.connections == 0)
    assert bench.ddp.sessions == sessions


async def test_what_the_server_closes_is_gone(bench: Bench) -> None:
    wire = await bench.connect()
    bench.sessions[0].close("enough")
    assert await wire.closed() == (1000, [])
    again = await bench.connect(wire.offer())
    assert again.session != wire.session


async def test_a_close_in_the_grace_period_removes_it(bench: Bench) -> None:
    wire = await bench.connect()
    await wire.ask(sub("1", "items"))
    await bench.drop(wire)
    bench.sessions[0].close()
    bench.sessions[0].close()
    assert (bench.ddp.sessions, bench.ended) == (0, [wire.session])
    again = await bench.connect(wire.offer())
    assert again.session != wire.session
    assert kinds(await again.ask(method("1", "touch"))) == ["updated", "result"]


async def test_the_end_of_the_server_is_the_end_of_those_that_wait(bench: Bench) -> None:
    wire = await bench.connect()
    await bench.drop(wire)
    await bench.ddp.close()
    assert (bench.ddp.sessions, bench.ended) == (0, [wire.session])


async def test_a_silent_connection_is_dropped_but_its_session_waits(serve: Serve) -> None:
    bench = await serve(heartbeat=0.05)
    wire = await bench.connect()
    assert await wire.closed() == (1000, ['{"msg":"ping"}'])
    assert bench.ddp.sessions == 1
    again = await bench.connect(wire.offer())
    assert again.session == wire.session


# Methods


async def test_a_method_goes_on_and_its_answer_waits(bench: Bench) -> None:
    wire = await bench.connect()
    await wire.send(method("1", "slowUnblock", 30, "tag"), {"msg": "ping"})
    assert await wire.next() == '{"msg":"pong"}'  # so it has arrived
    await bench.drop(wire)
    again = await bench.connect(wire.offer())
    assert await again.take(2) == [
        '{"msg":"updated","methods":["1"]}',
        '{"msg":"result","id":"1","result":"tag"}',
    ]


async def test_a_method_that_is_sent_again_runs_once_and_is_answered_once(bench: Bench) -> None:
    wire = await bench.connect()
    before = wire.received
    running, done = method("1", "slowUnblock", 30, "a"), method("2", "slowUnblock", 0, "b")
    await wire.send(running, done)
    await wire.take(2)
    await bench.drop(wire)
    again = await bench.connect(wire.offer(receivedCount=before))
    await again.send(running, done)
    results = [json.loads(text) for text in await again.take(4)]
    assert [found["result"] for found in results if found["msg"] == "result"] == ["b", "a"]
    (_, seq) = await again.ask(method("3", "seq"))
    assert json.loads(seq)["result"] == ["start a", "start b", "end b", "end a"]


async def test_a_new_session_knows_what_ran_and_what_was_cut_short(bench: Bench) -> None:
    wire = await bench.connect()
    running, done = method("1", "slowUnblock", 60_000, "a"), method("2", "slowUnblock", 0, "b")
    await wire.send(running, done)
    await wire.take(2)
    await bench.drop(wire)
    again = await bench.connect(wire.offer(receivedCount=99))
    assert again.session != wire.session
    answers = [json.loads(text) for text in await again.ask(running, done)]
    cut, known = (answer for answer in answers if answer["msg"] == "result")
    assert (cut["id"], cut["error"]["error"]) == ("1", "interrupted")
    assert (known["id"], known["result"]) == ("2", "b")
    (_, seq) = await again.ask(method("3", "seq"))
    assert json.loads(seq)["result"] == ["start a", "start b", "end b"]


async def test_a_welcome_that_was_lost_makes_nothing_run_twice(bench: Bench) -> None:
    wire = await bench.connect()
    done = method("1", "slowUnblock", 0, "a")
    running = method("2", "slowUnblock", 60_000, "b")
    await wire.ask(done)
    await bench.drop(wire)
    unheard_of = await bench.connect(wire.offer(receivedCount=99))
    await unheard_of.send(running)
    await unheard_of.ask(done)
    await bench.drop(unheard_of)
    again = await bench.connect(wire.offer(receivedCount=99))
    answers = [json.loads(text) for text in await again.ask(running, done)]
    cut, known = (answer for answer in answers if answer["msg"] == "result")
    assert (cut["id"], cut["error"]["error"]) == ("2", "interrupted")
    assert (known["id"], known["result"]) == ("1", "a")
    assert unheard_of.session in bench.ended
    (_, seq) = await again.ask(method("3", "seq"))
    assert json.loads(seq)["result"] == ["start a", "end a", "start b"]


async def test_subscriptions_that_are_sent_again_are_ignored(bench: Bench) -> None:
    wire = await bench.connect()
    await wire.ask(sub("1", "items"))
    await bench.drop(wire)
    again = await bench.connect(wire.offer())
    assert await again.ask(sub("1", "items")) == []


@pytest.mark.parametrize("fits", [True, False])
async def test_a_client_that_does_not_wait_for_the_outcome(bench: Bench, fits: bool) -> None:
    wire = await bench.connect()
    await wire.ask(sub("1", "items"))
    await bench.drop(wire)
    again = await bench.connect("")
    await again.send(
        wire.offer() if fits else wire.offer(receivedCount=1_000),
        *(method("1", "who"), sub("1", "items")),
    )
    expected = ["connected", "updated", "result"]
    if not fits:
        expected += ["added", "added", "ready"]
    assert kinds(await again.take(len(expected))) == expected
    assert await again.ask() == []


# Whose session it is


async def test_a_stranger_does_not_get_it() -> None:
    async def who(context: MethodContext) -> str | None:
        return context.user_id

    ended: list[str] = []
    ddp = Server({"who": who})
    ddp.on_connection(lambda session: session.on_close(lambda: ended.append(session.id)))
    async with AsyncExitStack() as stack:
        urls = {
            user: await stack.enter_async_context(serving(ddp, user_id=user))
            for user in ("ada", "eve", None)
        }
        wire = await stack.enter_async_context(Wire.to(urls["ada"]))
        wire.cut()
        await eventually(lambda: ddp.connections == 0)
        for stranger in ("eve", None):
            async with Wire.to(urls[stranger], wire.offer()) as other:
                assert other.session != wire.session
        assert wire.session not in ended
        again = await stack.enter_async_context(Wire.to(urls["ada"], wire.offer()))
        assert again.session == wire.session
        assert '"result":"ada"' in (await again.ask(method("1", "who")))[1]


async def test_the_address_is_that_of_the_last_connection(bench: Bench) -> None:
    wire = await bench.connect()
    await bench.drop(wire)
    agent = {"User-Agent": "another"}
    async with aiohttp.ClientSession() as http, http.ws_connect(bench.url, headers=agent) as socket:
        again = Wire(socket)
        await again.send(wire.offer())
        await again.next()
        assert bench.sessions[0].http_headers["user-agent"] == "another"


async def test_many_drops_at_any_moment_lose_and_repeat_nothing(bench: Bench) -> None:
    writer, wire = await bench.connect(), await bench.connect()
    await wire.ask(sub("1", "items"))
    session, received, seen = wire.session, wire.received, list[int]()
    for ms in range(30):
        await writer.send(method(str(ms), "write", ms / 10))
        if ms % 3 == 0:
            wire.cut()
            wire = await bench.connect(wire.offer(session=session, receivedCount=received))
            received += 1
        elif ms % 3 == 1:
            await asyncio.sleep(0)
            seen.append(json.loads(await wire.next())["fields"]["w"])
            received += 1
    while len(seen) < 30:
        seen.append(json.loads(await wire.next())["fields"]["w"])
    assert wire.session == session
    assert sorted(seen) == [ms / 10 for ms in range(30)]

"""Sessions of a server: who waits for its client, and what ended ones leave behind."""

import asyncio
import json
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from shared.rpc.ddp.handshake import Greeting
from shared.rpc.ddp.remembered import Remembered
from shared.rpc.server import MethodContext, ServerConfig, Subscription
from shared.rpc.sessions import Sessions
from shared.rpc.transport import Peer
from tests.shared.rpc.conftest import World, echo, raw
from tests.support.waiting import eventually


class Runner:
    """As much of a session as the registry sees."""

    def __init__(self, sessions: Sessions, session_id: str, size: int) -> None:
        self.session = self
        self.id = session_id
        self.evidence = None
        self.version = "1"
        self.is_open = True
        self._sessions = sessions
        self._remembered = Remembered(max_count=10, max_bytes=10_000)
        texts = (b"", b"x" * (size - 200))
        self._remembered.add("1", texts, session=1, connection=0, fingerprint=0)
        runner: Any = self
        sessions.add(runner)

    def close(self, code: int, reason: str) -> None:
        self.is_open = False
        runner: Any = self
        self._sessions.ended(runner)

    def resume(self, greeting: Greeting, peer: Peer) -> bool:
        return greeting.received_count == 1

    def legacy(self) -> Remembered:
        return self._remembered


def greeting(session_id: str, count: int = 1) -> Greeting:
    return Greeting("1", session_id, count)


async def test_legacies_are_bounded_and_the_oldest_go() -> None:
    sessions = Sessions(15, legacy_bytes=1000)
    for name in "abc":
        Runner(sessions, name, 500).close(1000, "")
    assert sessions.legacy(greeting("a"), None, "heir") is None
    found = sessions.legacy(greeting("b"), None, "heir")
    assert found is not None
    assert found.size == 500
    Runner(sessions, "d", 500).close(1000, "")
    assert sessions.legacy(greeting("c"), None, "heir") is not None
    sessions.stop()


async def test_a_legacy_is_for_the_same_user_only() -> None:
    sessions = Sessions(15)
    Runner(sessions, "a", 500).close(1000, "")
    assert sessions.legacy(greeting("a"), "eve", "heir") is None
    assert sessions.legacy(greeting("a"), None, "heir") is not None
    sessions.stop()


async def test_an_heir_that_its_client_never_heard_of_ends() -> None:
    sessions = Sessions(15)
    Runner(sessions, "a", 500).close(1000, "")
    left = sessions.legacy(greeting("a"), None, "b")
    unheard_of = Runner(sessions, "b", 500)
    assert sessions.legacy(greeting("a"), None, "c") is left
    assert not unheard_of.is_open
    sessions.stop()


async def test_legacies_do_not_last() -> None:
    sessions = Sessions(15, legacy_seconds=0.01)
    Runner(sessions, "a", 500).close(1000, "")
    Runner(sessions, "b", 500).close(1000, "")
    await eventually(lambda: sessions.legacy_bytes == 0)
    assert sessions.legacy(greeting("a"), None, "heir") is None
    sessions.stop()


async def test_who_waits_longest_ends_first_and_one_timer_serves_all() -> None:
    sessions = Sessions(0.02)
    runners: list[Any] = [Runner(sessions, name, 500) for name in "abc"]
    for runner in runners:
        sessions.wait_for(runner)
    resumed: Any = sessions.resume(greeting("b"), Peer(), None)
    assert resumed is runners[1]
    await eventually(lambda: not runners[0].is_open and not runners[2].is_open)
    assert runners[1].is_open
    assert len(sessions) == 1
    sessions.wait_for(runners[1])
    sessions.wait_for(runners[1])
    await eventually(lambda: len(sessions) == 0)
    sessions.stop()


# Over real sockets


async def test_a_method_is_cancelled_when_nobody_comes_back(world: World) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def forever(_context: MethodContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    config = ServerConfig(resume_timeout=0.02)
    endpoint = await world.serve({"forever": forever}, config=config)
    async with raw(endpoint) as talk:
        await talk.send({"msg": "method", "id": "1", "method": "forever"})
        await started.wait()
        endpoint.cut()
    async with asyncio.timeout(10):
        await cancelled.wait()
    assert endpoint.server.sessions == 0


async def test_a_socket_that_never_connects_is_closed(world: World) -> None:
    endpoint = await world.serve(config=ServerConfig(connect_timeout=0.02))
    async with connect(endpoint.url, proxy=None) as connection:
        await connection.send("garbage")
        assert json.loads(await connection.recv())["msg"] == "error"
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert (connection.close_code, connection.close_reason) == (1000, "no connect message")
    assert endpoint.server.sessions == 0


async def test_one_that_reads_too_slowly_ends_and_the_others_notice_nothing(world: World) -> None:
    subs: list[Subscription] = []

    async def live(sub: Subscription) -> None:
        subs.append(sub)
        sub.ready()

    config = ServerConfig(outbox_limit=5_000_000)
    endpoint = await world.serve({"echo": echo}, {"live": live}, config=config)
    async with raw(endpoint) as other, raw(endpoint) as slow:
        await slow.send({"msg": "sub", "id": "1", "name": "live"})
        await slow.next()
        slow.connection.transport.pause_reading()
        pushed = 0
        while endpoint.server.sessions == 2:
            pushed += 1
            subs[0].added("items", str(pushed), {"x": "y" * 1_000_000})
            await asyncio.sleep(0)
        assert 5 <= pushed <= 15  # what the sockets' own buffers take comes on top
        assert (await other.call("echo", 1))["result"] == 1
        slow.connection.transport.abort()


async def test_methods_of_one_that_does_not_read_wait_until_it_does(world: World) -> None:
    async def flood(_context: MethodContext) -> str:
        return "x" * 1_000_000

    endpoint = await world.serve({"flood": flood})
    async with raw(endpoint) as slow:
        slow.connection.transport.pause_reading()
        for number in range(100):
            await slow.send({"msg": "method", "id": str(number), "method": "flood"})
        slow.connection.transport.resume_reading()
        answers = await slow.take(200)
    results = [answer["id"] for answer in answers if answer["msg"] == "result"]
    assert results == [str(number) for number in range(100)]


async def test_close_does_not_wait_for_a_handshake(world: World) -> None:
    endpoint = await world.serve()
    async with connect(endpoint.url, proxy=None) as connection:
        await eventually(lambda: endpoint.server.connections == 1)
        await endpoint.server.close()
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 1001


def test_sessions_that_fall_due_together_all_end_on_uvloop() -> None:
    async def crowd() -> bool:
        sessions = Sessions(0.01)
        runners = [Runner(sessions, str(number), 500) for number in range(5)]
        for runner in runners:
            waiting: Any = runner
            sessions.wait_for(waiting)
        await eventually(lambda: not any(runner.is_open for runner in runners))
        sessions.stop()
        return True

    assert uvloop.run(crowd())

"""The keeper of a connection: its status, its backoff, and who may end the waiting."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from shared.ops.background import running
from shared.rpc.errors import ConnectionLost, NegotiationFailed
from shared.rpc.keeper import Backoff, ConnectionStatus, Keeper
from tests.support.waiting import eventually

NEVER = Backoff(base=1000, limit=1000)
AT_ONCE = Backoff(base=0, limit=0)


class Link:
    """Stands for the connection: how each attempt goes is up to the test."""

    def __init__(self, backoff: Backoff, *attempts: Callable[[], Awaitable[None]]) -> None:
        self.keeper = Keeper("ws://test", self._connect, backoff)
        self.seen: list[ConnectionStatus] = []
        self.dropped = asyncio.Event()
        self.attempts = 0
        self._scripts = list(attempts)
        self.keeper.on_status(self.seen.append)
        self.keeper.reconnect()

    @property
    def statuses(self) -> list[str]:
        return [status.status for status in self.seen]

    async def _connect(self) -> None:
        self.attempts += 1
        if self._scripts:
            await self._scripts.pop(0)()
        else:
            await self.hold()

    async def hold(self) -> None:
        """Be connected until dropped."""
        self.dropped.clear()
        self.keeper.welcomed()
        await self.dropped.wait()


async def some_turns() -> None:
    """Long enough for whoever only waits for his turn."""
    for _ in range(20):
        await asyncio.sleep(0)


async def refuse() -> None:
    raise ConnectionRefusedError("nobody there")


async def test_95_the_status_tells_of_every_attempt() -> None:
    link = Link(AT_ONCE, refuse, refuse)
    async with running(link.keeper.run()):
        await link.keeper.connected()
        link.dropped.set()
        await eventually(lambda: link.attempts == 4)
        await link.keeper.connected()
    assert link.statuses == [
        *("connecting", "waiting", "connecting", "waiting", "connecting", "connected"),
        *("waiting", "connecting", "connected"),
    ]
    assert [status.retry_count for status in link.seen[:6]] == [0, 1, 1, 2, 2, 2]
    assert isinstance(link.seen[1].reason, ConnectionRefusedError)
    assert (link.seen[5].reason, link.keeper.last_error) == (None, None)
    waiting = [status for status in link.seen if status.status == "waiting"]
    assert all(status.retry_at is not None for status in waiting)
    assert all(status.retry_at is None for status in link.seen if status not in waiting)


async def test_96_a_drop_ends_in_a_new_connection() -> None:
    link = Link(AT_ONCE)
    async with running(link.keeper.run()):
        for attempt in range(1, 4):
            await link.keeper.connected()
            assert link.attempts == attempt
            link.dropped.set()
            await some_turns()


async def test_97_who_disconnects_stays_offline() -> None:
    link = Link(AT_ONCE)
    async with running(link.keeper.run()):
        await link.keeper.connected()
        link.keeper.disconnect()
        assert not link.keeper.is_wanted
        link.dropped.set()
        with pytest.raises(ConnectionLost):
            await link.keeper.connected()
        await some_turns()
        assert (link.attempts, link.statuses[-1]) == (1, "offline")
        link.keeper.reconnect()
        await link.keeper.connected()
        assert link.attempts == 2


async def test_reconnect_ends_the_waiting() -> None:
    link = Link(NEVER, refuse)
    async with running(link.keeper.run()):
        await eventually(lambda: link.keeper.now.status == "waiting")
        link.keeper.reconnect()
        await link.keeper.connected()
        link.keeper.reconnect()  # of no use, and no harm
        assert (link.attempts, link.statuses[-1]) == (2, "connected")
        link.dropped.set()
        await eventually(lambda: link.keeper.now.status == "waiting")


async def test_97_who_disconnects_while_waiting_stays_offline() -> None:
    def leave(status: ConnectionStatus) -> None:
        if status.status == "waiting":
            link.keeper.disconnect()

    link = Link(AT_ONCE, refuse)
    link.keeper.on_status(leave)
    async with running(link.keeper.run()):
        await eventually(lambda: link.attempts == 1)
        await some_turns()
        assert (link.attempts, link.keeper.now.status) == (1, "offline")
        link.keeper.reconnect()
        await link.keeper.connected()


async def test_a_failure_for_good_can_only_be_ended_by_hand() -> None:
    async def fail() -> None:
        link.keeper.failed(NegotiationFailed("9"))

    link = Link(AT_ONCE, fail)
    async with running(link.keeper.run()):
        with pytest.raises(NegotiationFailed):
            await link.keeper.connected()
        await some_turns()
        assert link.attempts == 1
        link.keeper.reconnect()
        await link.keeper.connected()


async def test_a_reason_to_be_better_is_not_waited_for() -> None:
    async def other_version() -> None:
        link.keeper.retry_soon()

    link = Link(NEVER, other_version)
    async with running(link.keeper.run()):
        await link.keeper.connected()


async def test_a_bug_ends_one_attempt() -> None:
    async def bug() -> None:
        raise RuntimeError("a bug")

    link = Link(AT_ONCE, bug)
    with capture_logs() as logs:
        async with running(link.keeper.run()):
            await link.keeper.connected()
    assert [entry["event"] for entry in logs] == ["rpc.connection_failed"]


async def test_a_connection_that_lived_is_a_success() -> None:
    async def short() -> None:
        link.keeper.welcomed()

    for stable, counts in ((1000.0, [1, 2]), (0.0, [1, 1])):
        link = Link(Backoff(base=0, limit=0, stable=stable), short, short)
        async with running(link.keeper.run()):
            await some_turns()
        waiting = [status.retry_count for status in link.seen if status.status == "waiting"]
        assert waiting == counts


async def test_a_failing_callback_harms_nobody() -> None:
    link = Link(AT_ONCE)
    link.keeper.on_status(lambda _status: 1 / 0)
    with capture_logs() as logs:
        async with running(link.keeper.run()):
            await link.keeper.connected()
    assert {entry["event"] for entry in logs} == {"rpc.callback_failed"}


def test_the_backoff_grows_to_its_limit() -> None:
    backoff = Backoff(base=0.05, limit=10)
    for failures, ceiling in ((0, 0.05), (1, 0.1), (5, 1.6), (8, 10), (10_000, 10)):
        delays = [backoff.delay(failures) for _ in range(200)]
        assert 0 <= min(delays) < ceiling / 4
        assert ceiling * 3 / 4 < max(delays) <= ceiling

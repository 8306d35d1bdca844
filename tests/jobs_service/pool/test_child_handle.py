"""The limits of a child without a process: what is armed, what fires, what does not."""

import asyncio

from jobs_service.pool import wire
from jobs_service.pool.child_handle import ChildHandle
from tests.support.waiting import eventually


class Overdue:
    """A child whose limits are recorded instead of enforced."""

    def __init__(self) -> None:
        self.count = 0
        self._channel, self._theirs = wire.channel_pair()
        self.child = ChildHandle(1, self._channel, asyncio.get_running_loop(), self._note)

    def _note(self, child: ChildHandle) -> None:
        assert child is self.child
        self.count += 1

    def close(self) -> None:
        self.child.close()
        self._theirs.close()


async def passed(seconds: float) -> None:
    """Wait until a timer that is armed later than all before has fired."""
    fired = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, fired.set)
    await fired.wait()


async def test_a_limit_that_passes_is_told_once() -> None:
    overdue = Overdue()
    overdue.child.limit(0.01)
    await eventually(lambda: overdue.count == 1)
    overdue.close()


async def test_a_shorter_limit_overtakes_a_longer_one() -> None:
    overdue = Overdue()
    overdue.child.limit(3_600)
    overdue.child.unlimit()
    overdue.child.limit(0.01)
    await eventually(lambda: overdue.count == 1)
    overdue.close()


async def test_a_limit_that_was_lifted_or_extended_does_not_fire() -> None:
    overdue = Overdue()
    overdue.child.limit(0.01)
    overdue.child.unlimit()
    await passed(0.03)
    overdue.child.limit(0.01)
    overdue.child.limit(3_600)
    await passed(0.03)
    assert overdue.count == 0
    overdue.close()


async def test_a_closed_child_has_no_limit() -> None:
    overdue = Overdue()
    overdue.child.limit(0.01)
    overdue.close()
    await passed(0.03)
    assert overdue.count == 0


async def test_the_exit_is_told_as_soon_as_it_is_known() -> None:
    overdue = Overdue()
    heard: list[wire.Exited | None] = []
    exited = wire.Exited(child=1, code=-9, cpu_seconds=0.5, peak_bytes=1)
    overdue.child.on_exit(heard.append, 30)
    overdue.child.exited(exited)
    overdue.child.exited(None)
    await eventually(lambda: heard == [exited])
    overdue.close()


async def test_an_exit_that_nobody_reports_is_told_as_unknown() -> None:
    overdue = Overdue()
    heard: list[wire.Exited | None] = []
    overdue.child.on_exit(heard.append, 0.01)
    await eventually(lambda: heard == [None])
    overdue.close()

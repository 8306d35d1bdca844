"""Tasks of an owner: cancelled together, awaited together, and their bugs are logged."""

import asyncio
import contextvars

from structlog.testing import capture_logs

from shared.rpc.tasks import Tasks
from tests.support.waiting import eventually


async def test_all_are_cancelled_and_awaited() -> None:
    everybody = Tasks()
    tasks, seen = Tasks(within=everybody), list[str]()

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append(name)

    for name in "ab":
        tasks.start(work(name), contextvars.copy_context())
    await asyncio.sleep(0)
    tasks.cancel()
    await everybody.ended()
    assert sorted(seen) == ["a", "b"]
    await tasks.ended()


async def test_an_error_is_logged_and_goes_no_further() -> None:
    tasks = Tasks()

    async def work() -> None:
        raise RuntimeError("a bug")

    with capture_logs() as logs:
        tasks.start(work(), contextvars.copy_context())
        await eventually(lambda: logs)
    assert logs[0]["event"] == "rpc.task_failed"

"""A subscriber that stops reading is closed at its limit; nobody else notices."""

import tracemalloc

from structlog.testing import capture_logs

from shared.rpc.client import Client
from shared.rpc.ddp.config import ServerConfig
from tests.faults.slow_readers import SlowReader, serving
from tests.support.waiting import eventually

CONFIG = ServerConfig(outbox_limit=2_000_000)
MEGABYTES_A_SECOND = 100.0


async def test_a_subscriber_that_stops_reading() -> None:
    async with (
        serving(config=CONFIG) as (url, _ddp),
        Client(url) as other,
        SlowReader.to(url, MEGABYTES_A_SECOND) as reader,
    ):
        await other.connected()
        reader.stop_reading()
        tracemalloc.start()
        try:
            with capture_logs() as logs:
                answers = 0
                while not logs:
                    assert await other.call("echo", answers) == answers
                    answers += 1
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert [entry["event"] for entry in logs] == ["rpc.reader_too_slow"]
        assert answers > 10
        assert peak < 3 * CONFIG.outbox_limit
        assert await reader.end() == (1008, "reading too slowly")
        assert await other.call("echo", "still there") == "still there"


async def test_one_that_never_reads_again_is_cut() -> None:
    async with (
        serving(close_timeout=0.05, config=CONFIG) as (url, ddp),
        SlowReader.to(url, MEGABYTES_A_SECOND) as reader,
    ):
        reader.stop_reading()
        with capture_logs() as logs:
            await eventually(lambda: logs)
            await eventually(lambda: ddp.connections == 0)
        assert (await reader.end())[0] == 1006

"""Metrics that every service has: its process, and how late its event loop runs."""

import asyncio

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

_LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_LAG_INTERVAL_SECONDS = 0.25


def new_registry() -> CollectorRegistry:
    """A registry of this process's own; the library's global one is never used."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


async def watch_loop_lag(registry: CollectorRegistry) -> None:
    """Record, four times a second and for ever, how late a timer of this loop fires.

    The lag is what one slow callback costs everyone else: the number that having a jobs
    service keeps low.
    """
    lag = Histogram(
        "tandem_loop_lag_seconds", "How late timers fire.", buckets=_LAG_BUCKETS, registry=registry
    )
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LAG_INTERVAL_SECONDS
        await asyncio.sleep(_LAG_INTERVAL_SECONDS)
        lag.observe(max(0.0, loop.time() - due))

"""What a run cost, measured in this very process."""

import time

from jobs_service.pool.meter import Meter


def test_a_run_costs_what_it_did() -> None:
    meter = Meter()
    meter.start()
    until = time.process_time() + 0.02
    while time.process_time() < until:
        pass
    cost = meter.cost()
    assert 0.02 <= cost.cpu_seconds < 10
    assert cost.seconds >= 0.015
    assert cost.peak_bytes > 1_000_000


def test_each_run_has_a_peak_of_its_own() -> None:
    meter = Meter()
    meter.start()
    assert len(b"x" * (100 << 20)) == 100 << 20
    high = meter.cost()
    meter.reset()
    meter.start()
    low = meter.cost()
    assert high.peak_bytes - low.peak_bytes > 50 << 20
    assert low.cpu_seconds < high.cpu_seconds

"""Measures what a run costs its child: wall clock, CPU, and its own peak of memory."""

import os
import resource
import time

from jobs_service.pool import wire


class Meter:
    """Measures one run after the other in this process."""

    def __init__(self) -> None:
        self._started = self._cpu_before = 0.0
        try:
            self._clear_refs: int | None = os.open("/proc/self/clear_refs", os.O_WRONLY)
        except OSError:
            self._clear_refs = None
        self.reset()

    def reset(self) -> None:
        """Between runs, when nobody waits: what follows belongs to the next one."""
        if self._clear_refs is not None:
            try:
                os.pwrite(self._clear_refs, b"5", 0)  # proc(5): resets the peak; takes 1 µs
            except OSError:
                self._clear_refs = None
        self._cpu_before = _cpu_seconds(resource.getrusage(resource.RUSAGE_SELF))

    def start(self) -> None:
        self._started = time.perf_counter()

    def cost(self) -> wire.Cost:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return wire.Cost(
            seconds=time.perf_counter() - self._started,
            cpu_seconds=_cpu_seconds(usage) - self._cpu_before,
            peak_bytes=usage.ru_maxrss * 1024,
        )


def _cpu_seconds(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime

"""Job types for tests and benchmarks; offered only where ``jobs.systemJobs`` is on."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from shared.contracts.contract import Contract

Milliseconds = Annotated[float, Meta(ge=0, le=3_600_000)]


class Echo(Contract[Any], name="system.echo", timeout=30, idempotent=True):
    """Returns its value."""

    value: Any = None


class Burn(Contract[None], name="system.burn", timeout=3_600, idempotent=True):
    """Keeps one core busy for ``ms`` milliseconds, reporting progress."""

    ms: Milliseconds


class Sleep(Contract[None], name="system.sleep", timeout=3_600, idempotent=True):
    """Waits for ``ms`` milliseconds, reporting progress."""

    ms: Milliseconds


class Crash(Contract[None], name="system.crash", timeout=10, max_attempts=2):
    """Ends its child in one of the ways a child can end."""

    how: Literal["exit", "segfault", "oom", "hang"]

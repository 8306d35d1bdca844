"""The sessions of a server: who waits for its client, and what ended ones have answered."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice

import msgspec

from shared.rpc.ddp.handshake import Greeting
from shared.rpc.ddp.remembered import Remembered
from shared.rpc.runner import SessionRunner
from shared.rpc.transport import NORMAL_CLOSURE, Peer


class _Legacy(msgspec.Struct):
    """What a session that has ended leaves to the one that follows it."""

    remembered: Remembered
    size: int
    evidence: str | None
    version: str
    until: float
    heir: str = ""
    """The session that has it, once there is one."""


class Sessions:
    """Finds the session that a client offers, and ends those that nobody comes back to."""

    def __init__(
        self,
        resume_seconds: float,
        *,
        legacy_bytes: int = 64_000_000,
        legacy_seconds: float = 300.0,
    ) -> None:
        """``legacy_bytes`` are kept of what all ended sessions answered, for ``legacy_seconds``."""
        self._resume_seconds = resume_seconds
        self._max_legacy_bytes = legacy_bytes
        self._legacy_seconds = legacy_seconds
        self._runners: dict[str, SessionRunner] = {}
        self._waiting: dict[SessionRunner, float] = {}  # → until when; the first ends first
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0  # uvloop's handles don't know it when it has passed
        self._legacies: OrderedDict[str, _Legacy] = OrderedDict()
        self.legacy_bytes = 0
        """How much is kept of what ended sessions answered, about."""

    def __len__(self) -> int:
        return len(self._runners)

    def __iter__(self) -> Iterator[SessionRunner]:
        return iter(list(self._runners.values()))

    def add(self, runner: SessionRunner) -> None:
        """A session begins."""
        self._runners[runner.session.id] = runner

    def resume(self, greeting: Greeting, peer: Peer, evidence: str | None) -> SessionRunner | None:
        """The session that this client may go on with.

        One that it offers, but can't go on with, ends: its client has given it up.
        """
        runner = self._runners.get(greeting.session or "")
        if runner is None or runner.evidence != evidence:
            return None
        if runner.resume(greeting, peer):
            self._waiting.pop(runner, None)
            return runner
        runner.close(NORMAL_CLOSURE, "its client begins anew")
        return None

    def legacy(self, greeting: Greeting, evidence: str | None, heir: str) -> Remembered | None:
        """What the session left that this client had before, for ``heir``, which it gets now.

        A client that asks for it again has never heard of the heir before; that one ends.
        """
        legacy = self._legacies.get(greeting.session or "")
        if legacy is None or legacy.evidence != evidence or legacy.version != greeting.version:
            return None
        if (unheard_of := self._runners.get(legacy.heir)) is not None:
            unheard_of.close(NORMAL_CLOSURE, "its client begins anew")
        legacy.heir = heir
        return legacy.remembered

    def wait_for(self, runner: SessionRunner) -> None:
        """A session has lost its connection; it ends unless it is resumed in time."""
        self._waiting.pop(runner, None)
        self._waiting[runner] = asyncio.get_running_loop().time() + self._resume_seconds
        self._arm_timer()

    def ended(self, runner: SessionRunner) -> None:
        """A session has ended; keep what its client may still ask for."""
        self._runners.pop(runner.session.id, None)
        self._waiting.pop(runner, None)
        remembered = runner.legacy()
        if remembered is None:
            return
        until = asyncio.get_running_loop().time() + self._legacy_seconds
        self._legacies[runner.session.id] = _Legacy(
            remembered, remembered.size, runner.evidence, runner.version, until
        )
        self.legacy_bytes += remembered.size
        while self.legacy_bytes > self._max_legacy_bytes:
            self._forget(next(iter(self._legacies)))
        self._arm_timer()

    def stop(self) -> None:
        """Let no timer run any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget(self, session_id: str) -> None:
        self.legacy_bytes -= self._legacies.pop(session_id).size

    def _arm_timer(self) -> None:
        due = [*islice(self._waiting.values(), 1)]
        due += [legacy.until for legacy in islice(self._legacies.values(), 1)]
        if due and (self._timer is None or self._timer_due > min(due)):
            self.stop()
            self._timer_due = min(due)
            self._timer = asyncio.get_running_loop().call_at(self._timer_due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for runner in [runner for runner, until in self._waiting.items() if until <= now]:
            runner.close(NORMAL_CLOSURE, "its client did not come back")
        for session_id in [name for name, left in self._legacies.items() if left.until <= now]:
            self._forget(session_id)
        self._arm_timer()

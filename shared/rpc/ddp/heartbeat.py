"""The heartbeat of one connection tells whether the other side is still there.

As in Meteor, any message counts as a sign of life, and a ping is sent only when a whole
interval passed without one. So a message costs no timer, only a flag.
"""

import msgspec


class HeartbeatConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; Meteor's server waits 15 and 15, its client 17.5 and 15."""

    interval: float = 15.0
    """A ping is sent after this long without a message; 0 switches the heartbeat off."""
    timeout: float = 15.0
    """The other side is given up when it is silent for this long after a ping."""


class Heartbeat:
    """Says when to ping and when to give up; time is an argument."""

    __slots__ = ("_config", "_deadline", "_next_tick", "_seen")

    def __init__(self, config: HeartbeatConfig) -> None:
        self._config = config
        self._next_tick: float | None = None
        self._deadline: float | None = None
        self._seen = False

    def start(self, now: float) -> None:
        """Begin to watch. Does nothing when the interval is 0."""
        if self._config.interval > 0:
            self._next_tick = now + self._config.interval
        self._deadline = None
        self._seen = False

    def stop(self) -> None:
        """Stop watching."""
        self._next_tick = self._deadline = None

    def message_received(self) -> None:
        """The other side is alive."""
        self._seen = True
        self._deadline = None

    def next_timer(self) -> float | None:
        """When to call :meth:`tick` next, or None for never."""
        if self._deadline is not None and self._next_tick is not None:
            return min(self._deadline, self._next_tick)
        return self._next_tick

    def is_dead(self, now: float) -> bool:
        """Whether the other side left a ping unanswered for too long."""
        return self._deadline is not None and now >= self._deadline

    def tick(self, now: float) -> bool:
        """Let time pass; returns whether a ping must be sent now."""
        if self._next_tick is None or now < self._next_tick:
            return False
        ping = not self._seen and self._deadline is None
        if ping:
            self._deadline = now + self._config.timeout
        self._seen = False
        self._next_tick = now + self._config.interval
        return ping

"""Limits how often clients may call methods and subscribe, as Meteor's ``DDPRateLimiter``.

A rule matches calls by any of their properties, and counts those that it matches, for each
combination of the matched properties apart. A window begins with its first call.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from shared.rpc.errors import MethodError

Matcher = Callable[[Any], bool] | str | None
"""A value to match, or a function of it; None matches all, and counts them together."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What rules see of a method's call or a subscription."""

    type: Literal["method", "subscription"]
    name: str
    user_id: str | None
    connection_id: str
    client_address: str


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """At most ``limit`` matching calls in ``seconds``."""

    limit: int
    seconds: float
    type: Matcher = None
    name: Matcher = None
    user_id: Matcher = None
    connection_id: Matcher = None
    client_address: Matcher = None
    message: Callable[[float], str] | str | None = None
    """What is said to who is refused, or a function of the seconds to wait."""


def each(_value: Any) -> bool:
    """A matcher: all match, and each value is counted apart."""
    return True


def each_known(value: Any) -> bool:
    """As :func:`each`, but what is not known (no user is logged in) is not counted."""
    return bool(value)


_LOGINS = frozenset({"login", "createUser", "resetPassword", "forgotPassword"})

LOGIN_RULE = Rule(limit=5, seconds=10, type="method", name=_LOGINS.__contains__, connection_id=each)
"""Meteor's default: slows down who guesses passwords."""

_PROPERTIES = ("type", "name", "user_id", "connection_id", "client_address")


class RateLimiter:
    """Counts calls by rules. Its memory is bounded: past that, the oldest windows are lost."""

    def __init__(
        self,
        rules: Iterable[Rule] = (LOGIN_RULE,),
        *,
        message: Callable[[float], str] | str | None = None,
        counters_per_rule: int = 10_000,
    ) -> None:
        """``message``: for rules without their own; None is Meteor's."""
        self._message = message
        self._counters_per_rule = counters_per_rule
        self._counted: dict[int, _Counted] = {}
        self._rules_so_far = 0
        for rule in rules:
            self.add_rule(rule)

    def concerns(self, kind: str, name: str) -> bool:
        """Whether a rule may match calls of that type and name; most need no more looking."""
        return any(
            _matches(counted.rule.type, kind) and _matches(counted.rule.name, name)
            for counted in self._counted.values()
        )

    def add_rule(self, rule: Rule) -> int:
        """Apply one more rule; returns the id to remove it by."""
        self._rules_so_far += 1
        self._counted[self._rules_so_far] = _Counted(rule, self._counters_per_rule)
        return self._rules_so_far

    def remove_rule(self, rule_id: int) -> bool:
        """Apply a rule no more. Returns whether it was there."""
        return self._counted.pop(rule_id, None) is not None

    def check(self, call: Call, now: float) -> None:
        """Count one call.

        Raises:
            MethodError: ``too-many-requests``, with ``timeToReset`` in milliseconds; every
                matching rule has counted the call nevertheless.
        """
        wait, refused_by = 0.0, None
        for counted in self._counted.values():
            key = _key_of(counted.rule, call)
            if key is None:
                continue
            remaining = counted.hit(key, now)
            if remaining is not None and (refused_by is None or remaining > wait):
                wait, refused_by = remaining, counted.rule
        if refused_by is not None:
            milliseconds = math.ceil(wait * 1000)
            reason = self._reason(refused_by, milliseconds / 1000)
            raise MethodError("too-many-requests", reason, {"timeToReset": milliseconds})

    def _reason(self, rule: Rule, seconds: float) -> str:
        message = rule.message if rule.message is not None else self._message
        if message is None:
            return (
                "Error, too many requests. Please slow down. You must wait "
                f"{math.ceil(seconds)} seconds before trying again."
            )
        return message if isinstance(message, str) else message(seconds)


class _Window(msgspec.Struct):
    start: float
    calls: int = 0


class _Counted:
    """One rule, and its windows in the order in which they end."""

    def __init__(self, rule: Rule, most: int) -> None:
        self.rule = rule
        self._most = most
        self._windows: OrderedDict[tuple[Any, ...], _Window] = OrderedDict()

    def hit(self, key: tuple[Any, ...], now: float) -> float | None:
        """Count a call; returns the seconds left of its window when it is one too many."""
        windows, seconds = self._windows, self.rule.seconds
        while windows and now - next(iter(windows.values())).start >= seconds:
            windows.popitem(last=False)
        window = windows.get(key)
        if window is None:
            window = windows[key] = _Window(now)
            if len(windows) > self._most:
                windows.popitem(last=False)
        window.calls += 1
        if window.calls <= self.rule.limit:
            return None
        return seconds - (now - window.start)  # never more than seconds, rounded as it may be


def _key_of(rule: Rule, call: Call) -> tuple[Any, ...] | None:
    """By what a rule counts a call; None when it does not match."""
    key = []
    for name in _PROPERTIES:
        matcher, value = getattr(rule, name), getattr(call, name)
        if matcher is None:
            continue
        if not _matches(matcher, value):
            return None
        key.append(value)
    return tuple(key)


def _matches(matcher: Matcher, value: Any) -> bool:
    return matcher is None or (matcher(value) if callable(matcher) else matcher == value)

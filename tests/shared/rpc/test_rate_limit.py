"""The rate limiter, with a clock of the test's own."""

from typing import Any

import pytest

from shared.rpc.errors import MethodError
from shared.rpc.rate_limit import Call, RateLimiter, Rule, each, each_known


def call(name: str = "m", **fields: Any) -> Call:
    known: dict[str, Any] = {
        "type": "method",
        "user_id": None,
        "connection_id": "c",
        "client_address": "127.0.0.1",
    }
    return Call(name=name, **(known | fields))


def denied(limiter: RateLimiter, what: Call, now: float = 0) -> MethodError | None:
    try:
        limiter.check(what, now)
    except MethodError as error:
        return error
    return None


def allowed(limiter: RateLimiter, what: Call, now: float = 0) -> bool:
    return denied(limiter, what, now) is None


def test_88_so_many_pass_and_no_more() -> None:
    limiter = RateLimiter([Rule(limit=3, seconds=10, name="m")])
    assert [allowed(limiter, call(), now) for now in range(5)] == [True] * 3 + [False] * 2
    assert allowed(limiter, call("other"))


def test_the_error_is_meteors() -> None:
    limiter = RateLimiter([Rule(limit=0, seconds=2.5)])
    error = denied(limiter, call(), 7)
    assert error is not None
    assert error.error == "too-many-requests"
    assert error.reason == (
        "Error, too many requests. Please slow down. You must wait 3 seconds before trying again."
    )
    assert error.details == {"timeToReset": 2500}


def test_89_a_window_begins_with_its_first_call() -> None:
    limiter = RateLimiter([Rule(limit=1, seconds=10)])
    assert allowed(limiter, call(), 100)
    assert not allowed(limiter, call(), 109.9)
    assert allowed(limiter, call(), 110)
    assert not allowed(limiter, call(), 119.9)


def test_nobody_is_told_to_wait_longer_than_a_window() -> None:
    for number in range(1000):
        error = denied(RateLimiter([Rule(limit=0, seconds=1)]), call(), number / 7)
        assert error is not None
        assert error.details == {"timeToReset": 1000}


def test_90_matchers_are_given_the_value() -> None:
    seen: list[Any] = []

    def is_odd(name: Any) -> bool:
        seen.append(name)
        return name in ("1", "3")

    limiter = RateLimiter([Rule(limit=1, seconds=10, name=is_odd)])
    assert [allowed(limiter, call(name)) for name in "12321"] == [True] * 4 + [False]
    assert seen == list("12321")


@pytest.mark.parametrize("by", ["user_id", "connection_id", "client_address", "name"])
def test_91_each_value_is_counted_apart(by: str) -> None:
    matchers: dict[str, Any] = {by: each}
    apart = RateLimiter([Rule(limit=1, seconds=10, **matchers)])
    together = RateLimiter([Rule(limit=1, seconds=10)])
    calls = [call(**{by: value}) for value in ("x", "y", "x")]
    assert [allowed(apart, one) for one in calls] == [True, True, False]
    assert [allowed(together, one) for one in calls] == [True, False, False]


def test_92_subscriptions_are_limited_apart_from_methods() -> None:
    limiter = RateLimiter([Rule(limit=0, seconds=10, type="subscription")])
    assert allowed(limiter, call())
    assert not allowed(limiter, call(type="subscription"))


def test_93_messages_of_ones_own() -> None:
    rules = [
        Rule(limit=0, seconds=10, name="a"),
        Rule(limit=0, seconds=10, name="b", message="not b"),
        Rule(limit=0, seconds=10, name="c", message="{:g} s".format),
    ]
    limiter = RateLimiter(rules, message="slower")
    reasons = [error.reason for name in "abc" if (error := denied(limiter, call(name)))]
    assert reasons == ["slower", "not b", "10 s"]


def test_94_rules_can_be_removed() -> None:
    limiter = RateLimiter([])
    rule_id = limiter.add_rule(Rule(limit=0, seconds=10))
    assert not allowed(limiter, call())
    assert limiter.remove_rule(rule_id)
    assert not limiter.remove_rule(rule_id)
    assert allowed(limiter, call())


def test_every_matching_rule_counts_and_the_longest_wait_is_told() -> None:
    limiter = RateLimiter([Rule(limit=1, seconds=5), Rule(limit=1, seconds=60, name="m")])
    assert allowed(limiter, call())
    error = denied(limiter, call(), 1)
    assert error is not None
    assert error.details == {"timeToReset": 59_000}
    assert allowed(limiter, call("other"), 6)
    assert not allowed(limiter, call(), 7)


def test_logins_are_limited_by_default() -> None:
    limiter = RateLimiter()
    assert [allowed(limiter, call("login")) for _ in range(6)] == [True] * 5 + [False]
    assert allowed(limiter, call("login", connection_id="other"))
    assert all(allowed(limiter, call("echo")) for _ in range(100))


def test_its_memory_is_bounded() -> None:
    limiter = RateLimiter([Rule(limit=1, seconds=10, connection_id=each)], counters_per_rule=3)
    for number in range(1000):
        assert allowed(limiter, call(connection_id=str(number)))
    assert not allowed(limiter, call(connection_id="999"))
    assert allowed(limiter, call(connection_id="1"))  # its window is lost
    (counted,) = limiter._counted.values()
    assert len(counted._windows) == 3
    allowed(limiter, call(), 10)
    assert len(counted._windows) == 1


def test_who_is_not_known_is_not_counted() -> None:
    limiter = RateLimiter([Rule(limit=1, seconds=10, user_id=each_known)])
    assert [allowed(limiter, call(user_id=None)) for _ in range(3)] == [True] * 3
    assert [allowed(limiter, call(user_id="anna")) for _ in range(2)] == [True, False]

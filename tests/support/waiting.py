"""Waiting for a condition in tests, with a deadline instead of a fixed sleep."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Value = TypeVar("Value")

_POLL_SECONDS = 0.005


@overload
async def eventually(
    condition: Callable[[], Awaitable[Value]], timeout: float = 10, message: str = ""
) -> Value: ...
@overload
async def eventually(
    condition: Callable[[], Value], timeout: float = 10, message: str = ""
) -> Value: ...
async def eventually(
    condition: Callable[[], Any],
    timeout: float = 10,
    message: str = "",
) -> Any:
    """Call ``condition`` (plain or async) until its value is true, and return that value.

    An ``AssertionError`` that it raises counts as "not yet", so it can hold assertions.

    Raises:
        AssertionError: it was not true within ``timeout`` seconds; names the condition
            and its last value or error.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            found = condition()
            value = await found if inspect.isawaitable(found) else found
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(_failure(condition, timeout, message, last))
        await asyncio.sleep(_POLL_SECONDS)


def eventually_sync(
    condition: Callable[[], Value], timeout: float = 10, message: str = ""
) -> Value:
    """The same for tests without an event loop."""
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(_failure(condition, timeout, message, last))
        time.sleep(_POLL_SECONDS)


def _failure(condition: object, timeout: float, message: str, last: object) -> str:
    name = message or getattr(condition, "__qualname__", repr(condition))
    return f"not true within {timeout} s: {name}; last: {last!r}"

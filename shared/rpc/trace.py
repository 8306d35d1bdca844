"""What a call is a part of, by W3C's Trace Context: passed on from caller to callee."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

_FORM = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def current() -> str | None:
    """The ``traceparent`` of what this task does, if somebody gave one."""
    return _current.get()


@contextmanager
def bound(traceparent: str | None) -> Iterator[None]:
    """Let this be the current one, and be logged with each event; not if it is malformed."""
    if traceparent is None or _FORM.fullmatch(traceparent) is None:
        yield
        return
    token = _current.set(traceparent)
    logged = structlog.contextvars.bind_contextvars(traceparent=traceparent)
    try:
        yield
    finally:
        structlog.contextvars.reset_contextvars(**logged)
        _current.reset(token)

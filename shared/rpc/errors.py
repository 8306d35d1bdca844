"""Every error that this package raises on purpose.

::

    RpcError
    ├── MethodError       the other side's answer; the only one that crosses the wire
    ├── ConnectionLost    there is, or was, no connection
    ├── CallTimeout       no answer by the caller's deadline
    ├── NegotiationFailed the server speaks no version of DDP that we speak
    └── EjsonError        a value can't be written as EJSON, or a text isn't EJSON
"""

from typing import Any


class RpcError(Exception):
    """Base of all errors of this package."""


class MethodError(RpcError):
    """The answer of a method or publication that did not succeed.

    A method raises it to tell its caller what went wrong; a client raises it when a
    server said so. Any other exception of a method reaches the caller only as 500.
    """

    def __init__(self, error: str | float, reason: str = "", details: Any = None) -> None:
        super().__init__(f"{reason} [{error}]" if reason else f"[{error}]")
        self.error = error
        """What happened, for programs: a slug, or a number as in HTTP."""
        self.reason = reason
        """What happened, for people; empty when not given."""
        self.details = details
        """Anything plain JSON can hold; None when not given."""


class ConnectionLost(RpcError):
    """A call can't be answered, because there is no connection any more, or yet."""

    def __init__(self, message: str, *, may_have_run: bool) -> None:
        super().__init__(message)
        self.may_have_run = may_have_run
        """Whether the call had been sent, so that the method may have run."""


class CallTimeout(RpcError):
    """No answer came by the caller's deadline."""

    def __init__(self, message: str, *, may_have_run: bool = True) -> None:
        super().__init__(message)
        self.may_have_run = may_have_run
        """Whether the call had been sent, so that the method may have run, or still may."""


class NegotiationFailed(RpcError):
    """The server speaks no version of DDP that this client speaks."""

    def __init__(self, offered: str) -> None:
        super().__init__(f"the server offers only version {offered!r} of DDP")
        self.offered = offered


class EjsonError(RpcError, ValueError):
    """A value can't be written as EJSON, or a text isn't EJSON."""

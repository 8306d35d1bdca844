"""What happened to a session, for the one who runs it to act on."""

from typing import Any

import msgspec

from shared.rpc.errors import MethodError


class Closed(msgspec.Struct, frozen=True):
    """Both: send what there is to send, then close the connection. The last event."""

    code: int
    reason: str


class Dropped(msgspec.Struct, frozen=True):
    """Server: the client is silent: close the connection, and let the session wait."""

    code: int
    reason: str


class SessionStarted(msgspec.Struct, frozen=True):
    """Client: both agreed on a version; the session is open."""

    session_id: str
    version: str
    is_resumed: bool = False
    """Whether it is the session that was there before, with all that it knows."""


class MethodCalled(msgspec.Struct, frozen=True, eq=False):
    """Server: run this method, then answer with ``method_done`` or ``method_failed``."""

    id: str
    name: str
    params: list[Any]
    random_seed: str | None
    is_cancellable: bool = False
    """Whether :class:`MethodStopped` may come for it."""
    deadline: float | None = None
    """Until when its caller waits, on the clock of the session."""
    traceparent: str | None = None
    """What it is a part of, by W3C's Trace Context."""


class MethodStopped(msgspec.Struct, frozen=True):
    """Server: cancel this method, then answer it with ``method_failed`` and this error."""

    call: MethodCalled
    error: MethodError


class Subscribed(msgspec.Struct, frozen=True, eq=False):
    """Server: start this publication, and ``unblock`` when its handler has ended.

    The event itself stands for the subscription in every later call.
    """

    id: str
    name: str | None
    """None: a universal publication, that no client asked for; then the id is the server's."""
    params: list[Any]


class Unsubscribed(msgspec.Struct, frozen=True):
    """Server: the client ended this subscription; nothing more is published to it."""

    subscription: Subscribed


class MethodReturned(msgspec.Struct, frozen=True):
    """Client: the answer to a call; a result of ``UNDEFINED`` is none."""

    id: str
    result: Any


class MethodRaised(msgspec.Struct, frozen=True):
    """Client: a call failed, by the server's word or because its answer is unreadable."""

    id: str
    error: Exception


class MethodProgressed(msgspec.Struct, frozen=True):
    """Client: how far a call is: ``done`` of ``total``, if that is known."""

    id: str
    done: float
    total: float | None
    note: str


class SubscriptionReady(msgspec.Struct, frozen=True):
    """Client: the first batch of a subscription has arrived."""

    id: str


class SubscriptionEnded(msgspec.Struct, frozen=True):
    """Client: the server ended a subscription."""

    id: str
    error: MethodError | None


class DocumentEvent(msgspec.Struct, frozen=True):
    """Client: a document of a local collection was ``added``, ``changed`` or ``removed``.

    Of a changed one, ``fields`` holds only what is new; a cleared field is ``UNDEFINED``.
    """

    kind: str
    collection: str
    id: Any
    fields: dict[str, Any]


class Renegotiating(msgspec.Struct, frozen=True):
    """Client: the server would rather have this version; the next connection proposes it."""

    version: str


class NegotiationEnded(msgspec.Struct, frozen=True):
    """Client: the server offers no version that we speak; trying again is pointless."""

    offered: str


class Complaint(msgspec.Struct, frozen=True):
    """Client: the server could not make sense of something that we sent."""

    reason: str
    offending: str


ServerEvent = MethodCalled | MethodStopped | Subscribed | Unsubscribed | Dropped | Closed
ClientEvent = (
    SessionStarted
    | MethodReturned
    | MethodRaised
    | MethodProgressed
    | SubscriptionReady
    | SubscriptionEnded
    | DocumentEvent
    | Renegotiating
    | NegotiationEnded
    | Complaint
    | Closed
)

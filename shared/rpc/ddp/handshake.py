"""How a connection begins: what to answer until a client has introduced itself."""

from collections.abc import Sequence

import msgspec

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.complaints import BAD_REQUEST, MUST_CONNECT, complaint, kind_of
from shared.rpc.ddp.nesting import is_nested_deeper


class Greeting(msgspec.Struct, frozen=True):
    """A client that can be talked to."""

    version: str
    """The one agreed on."""
    session: str | None = None
    """The session that it had before, and would like to go on with."""
    received_count: int | None = None
    """How many messages of that session it has received; None: it can't go on with it."""


class Rejection(msgspec.Struct, frozen=True):
    """Say this, and wait for another text; or close the connection, if it is final."""

    text: bytes
    is_final: bool = False


def read_greeting(
    text: str | bytes, *, versions: Sequence[str], max_depth: int
) -> Greeting | Rejection:
    """What to make of a text that arrived before there was a ``connect``.

    ``versions``: what we speak, best first.
    """
    if is_nested_deeper(text, max_depth):
        return Rejection(m.encode(m.Error(BAD_REQUEST)))
    try:
        message = m.decode_from_client(text)
    except m.Unreadable:
        reason = MUST_CONNECT if kind_of(text, max_depth) else BAD_REQUEST
        return Rejection(complaint(reason, text))
    if not isinstance(message, m.Connect):
        return Rejection(complaint(MUST_CONNECT, text))
    return _negotiated(message, versions)


def _negotiated(connect: m.Connect, versions: Sequence[str]) -> Greeting | Rejection:
    version, support = connect.version, connect.support
    well_formed = (
        isinstance(version, str)
        and isinstance(support, list)
        and all(isinstance(item, str) for item in support)
        and version in support
    )
    # the client's order of preference decides, as in Meteor
    best = next((v for v in support if v in versions), "") if well_formed else ""
    if version != best or not best:
        return Rejection(m.encode(m.Failed(best or m.VERSIONS[0])), is_final=True)
    session = connect.session if isinstance(connect.session, str) else None
    count = connect.received_count
    # a bool is an int to Python, but no count
    received = count if type(count) is int else None
    return Greeting(best, session, received)

"""How a server treats its clients: times and limits."""

from collections.abc import Sequence

import msgspec

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.blob_receiver import BlobLimits
from shared.rpc.ddp.heartbeat import HeartbeatConfig


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a session treats its client."""

    versions: Sequence[str] = m.VERSIONS
    """The versions of DDP that are spoken, best first."""
    heartbeat: HeartbeatConfig = HeartbeatConfig()
    connect_timeout: float = 20.0
    """Seconds that a socket may stay open without a ``connect``."""
    idle_timeout: float = 0.0
    """Seconds after which a session that neither asks nor subscribes is closed; 0: never."""
    resume_timeout: float = 15.0
    """Seconds that a session waits for its client to come back; 0: it ends with a connection."""
    replay_bytes: int = 1_000_000
    """What is kept for a client to come back to, and what may wait for it meanwhile."""
    max_depth: int = 100
    """How deep a message may be nested."""
    max_methods: int = 2_000
    """How many methods may run or wait; further ones are answered ``busy``."""
    max_queued_bytes: int = 32_000_000
    """What may wait in the queue: methods and subscriptions beyond that are ``busy``."""
    max_subscriptions: int = 1_000
    """How many a session may have at a time."""
    max_documents: int = 10_000
    """How many documents these may have together; the one that wants more ends."""
    outbox_high: int = 1_000_000
    """Bytes waiting for a client above which nothing is read from it…"""
    outbox_low: int = 250_000
    """…until they are fewer than these."""
    outbox_limit: int = 32_000_000
    """Bytes waiting above which it is closed, and its session ends."""
    remembered_answers: int = 4_096
    """How many finished methods a session remembers, so that none of them runs again."""
    remembered_bytes: int = 1_000_000
    """How much of their answers is kept with that."""
    blobs: BlobLimits = BlobLimits()
    """What a ``tandem1`` session takes in, and how much may wait to be sent by it."""

"""What a server offers to each of its sessions."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from shared.rpc.connection import Marks
from shared.rpc.ddp.config import ServerConfig
from shared.rpc.ddp.merge_box import Strategy
from shared.rpc.ejson import Ejson
from shared.rpc.rate_limit import Call, RateLimiter
from shared.rpc.session import Session
from shared.rpc.signature import Signature
from shared.rpc.tasks import Tasks


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """Methods, publications, and how to treat a client."""

    methods: Mapping[str, tuple[Callable[..., Any], Signature]]
    publications: Mapping[str, tuple[Callable[..., Any], Signature]]
    universal: Mapping[str, tuple[Callable[..., Any], Signature]]
    """Publications that every session gets, by an id of the server's; more may come."""
    ejson: Ejson
    config: ServerConfig
    marks: Marks
    strategies: Mapping[str, Strategy]
    rate_limiter: RateLimiter
    forwarded_count: int
    tasks: Tasks
    """Where the handlers of all sessions run."""
    on_connection: Sequence[Callable[[Session], None]]
    """Hooks; more may come, and some may go."""
    on_message: Sequence[Callable[[Session, str | bytes], None]]

    def count(self, kind: Literal["method", "subscription"], name: str, session: Session) -> None:
        """Let the rate limiter count a call; raises what the client is told if it refuses."""
        if self.rate_limiter.concerns(kind, name):
            call = Call(
                type=kind,
                name=name,
                user_id=session.user_id,
                connection_id=session.id,
                client_address=session.client_address,
            )
            self.rate_limiter.check(call, asyncio.get_running_loop().time())

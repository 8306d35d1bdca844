"""Who is at the other end of a request, and how many live connections they have."""

from collections.abc import Callable

from aiohttp import web

from shared.rpc.addresses import AddressLimit, counted_address
from shared.rpc.transport import Peer, headers_of
from web_service.problems import Problem


def peer_of(request: web.Request) -> Peer:
    """Who sent a request, as the RPC wants to know it."""
    return Peer(request.remote or "", headers_of(request.headers.items()))


class Peers:
    """Looks behind the proxies of our own, and counts live connections by address."""

    def __init__(self, limit: AddressLimit, forwarded_count: int) -> None:
        """``forwarded_count``: how many such proxies are in front of this service."""
        self._limit = limit
        self._forwarded_count = forwarded_count

    def address(self, peer: Peer) -> str:
        """Where somebody is, as far as it is known."""
        return counted_address(peer, self._forwarded_count)

    def admit(self, peer: Peer) -> Callable[[], None]:
        """Count a live connection; returns what counts it out again, at its end.

        Raises:
            Problem: 429, this address has as many as it may have.
        """
        leave = self._limit.admit(self.address(peer))
        if leave is None:
            detail = "There are too many live connections from your address."
            raise Problem(429, "too-many-connections", detail)
        return leave

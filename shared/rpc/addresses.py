"""Where clients are: their addresses, behind proxies or not, and how many connections each has."""

import ipaddress
from collections import Counter
from collections.abc import Callable

from shared.rpc.transport import Peer

_IPV6_HOST_BITS = 64
"""Of an IPv6 address, what one customer of a provider has for himself."""


def client_address(peer: Peer, forwarded_count: int) -> str:
    """The address of a client behind ``forwarded_count`` proxies of our own.

    Each of them adds to ``X-Forwarded-For`` whom it heard from, so what our outermost proxy
    says is that far from the right; whatever is to the left of it, anybody can invent.
    Empty when there are fewer entries: the request took another way.
    """
    if forwarded_count == 0:
        return peer.address
    entries = peer.headers.get("x-forwarded-for", "").split(",")
    return entries[-forwarded_count].strip() if forwarded_count <= len(entries) else ""


def counted_address(peer: Peer, forwarded_count: int) -> str:
    """What to count a client by: who did not come through the proxies, by its own address."""
    return client_address(peer, forwarded_count) or peer.address


def network_of(address: str) -> str:
    """What one client can't leave: an IPv4 address, or the /64 network of an IPv6 one.

    Whoever has an IPv6 address has 2^64 of them, and could come from another each time.
    """
    parsed = _parsed(address)
    if parsed is None:
        return address
    if parsed.version == 4:
        return str(parsed)
    network = int(parsed) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS
    return f"{ipaddress.IPv6Address(network)}/{_IPV6_HOST_BITS}"


def is_loopback(address: str) -> bool:
    """Whether a client is on this machine."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


class AddressLimit:
    """Counts the connections of each address, and refuses one too many of them."""

    def __init__(self, most: int, exempt: Callable[[str], bool] = is_loopback) -> None:
        """``most``: connections per address, or /64 network of IPv6; 0 is no limit.

        ``exempt``: who is not counted. This machine's own programs by default: what comes
        from there is a proxy, or someone who could do worse.
        """
        self._most = most
        self._exempt = exempt
        self._connections: Counter[str] = Counter()

    def admit(self, address: str) -> Callable[[], None] | None:
        """Count a connection in; returns what counts it out, or None: it is one too many.

        What is returned may be called more than once.
        """
        network = network_of(address)
        if self._most == 0 or self._exempt(address):
            return _nothing
        if self._connections[network] >= self._most:
            return None
        self._connections[network] += 1
        counted = [network]

        def leave() -> None:
            if counted:
                self._leave(counted.pop())

        return leave

    def _leave(self, network: str) -> None:
        self._connections[network] -= 1
        if not self._connections[network]:
            del self._connections[network]


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(_without_port(address))
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _without_port(address: str) -> str:
    """Some proxies tell the port too, which is another one with each connection."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def _nothing() -> None:
    """Count nobody out."""

"""Where clients are, and how many connections each address has."""

import pytest

from shared.rpc.addresses import AddressLimit, client_address, is_loopback, network_of
from shared.rpc.transport import Peer, headers_of


@pytest.mark.parametrize(
    ("count", "header", "address"),
    [
        (0, "6.6.6.6", "10.0.0.1"),
        (1, "6.6.6.6, 7.7.7.7", "7.7.7.7"),
        (2, "6.6.6.6,7.7.7.7 , 8.8.8.8", "7.7.7.7"),
        (2, "7.7.7.7", ""),
        (1, None, ""),
    ],
)
def test_address_behind_proxies(count: int, header: str | None, address: str) -> None:
    headers = {} if header is None else {"x-forwarded-for": header}
    assert client_address(Peer("10.0.0.1", headers), count) == address


def test_a_proxys_own_line_can_not_be_hidden() -> None:
    items = [("X-Forwarded-For", "1.1.1.1"), ("Host", "a"), ("x-forwarded-for", "7.7.7.7")]
    headers = headers_of([*items, ("Cookie", "a=1"), ("cookie", "b=2")])
    assert headers == {"x-forwarded-for": "1.1.1.1, 7.7.7.7", "host": "a", "cookie": "a=1; b=2"}
    assert client_address(Peer("10.0.0.1", headers), 1) == "7.7.7.7"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("7.7.7.7", "7.7.7.7"),
        ("7.7.7.7:4711", "7.7.7.7"),
        ("::ffff:7.7.7.7", "7.7.7.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:4711", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", "unknown"),
    ],
)
def test_what_one_client_can_not_leave(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["", "unknown", "10.0.0.1", "localhost", "2001:db8::1"])
def test_other_machines(address: str) -> None:
    assert not is_loopback(address)


def test_so_many_connections_and_no_more() -> None:
    limit = AddressLimit(2)
    first, second = limit.admit("7.7.7.7"), limit.admit("7.7.7.7")
    assert first is not None
    assert second is not None
    assert limit.admit("7.7.7.7") is None
    assert limit.admit("8.8.8.8") is not None
    first()
    first()  # counts once
    assert limit.admit("7.7.7.7") is not None
    assert limit.admit("7.7.7.7") is None


def test_addresses_of_one_network_are_one() -> None:
    limit = AddressLimit(1)
    assert limit.admit("2001:db8:1:2::1") is not None
    assert limit.admit("2001:db8:1:2::2") is None
    assert limit.admit("2001:db8:1:3::1") is not None


def test_who_is_exempt_and_no_limit_at_all() -> None:
    limit, unlimited = AddressLimit(1), AddressLimit(0)
    for _ in range(3):
        for admitted in (limit.admit("127.0.0.1"), unlimited.admit("7.7.7.7")):
            assert admitted is not None
            admitted()
    assert AddressLimit(1, exempt=lambda _: False).admit("127.0.0.1") is not None


def test_nothing_is_kept_of_who_has_gone() -> None:
    limit = AddressLimit(10)
    for number in range(100):
        for leave in [limit.admit(f"7.7.7.{number}") for _ in range(11)]:
            if leave is not None:
                leave()
    assert not limit._connections

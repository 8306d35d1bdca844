import os
import socket

from scripts.supervisor import ports


def test_a_port_in_use_has_a_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.listens(port)
        assert ports.holder(port).startswith(f"pid {os.getpid()} (")
    assert ports.is_free(port)
    assert not ports.listens(port)
    assert ports.holder(port) == ""


def test_a_port_held_on_all_addresses_is_not_free() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_a_free_port_is_kept_and_a_held_one_replaced() -> None:
    port = ports.free_port()
    assert ports.free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert ports.free_port(port) != port

"""The jobs service's port: who is let in, how many of them, and with how large messages."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from jobs_service.server import JobsServer
from scripts.supervisor import ports
from shared.ops.health import Health
from shared.rpc.addresses import AddressLimit
from shared.rpc.server import Server
from shared.rpc.transport import TransportConfig
from tests.support.raw_http import UPGRADE, RawHttp
from tests.support.waiting import eventually

TOKEN = "the token"
SHOWN = {"Authorization": f"Bearer {TOKEN}"}
LIMIT = 100_000


@asynccontextmanager
async def serving(
    *, limit: AddressLimit | None = None, token: str = TOKEN, open_timeout: float = 10
) -> AsyncIterator[int]:
    """The port of a jobs service that offers nothing."""
    health = Health("jobs", "0", CollectorRegistry(), {}, dict)
    config = TransportConfig(max_message_bytes=LIMIT, open_timeout=open_timeout)
    server = JobsServer(Server({}), health, token, config, limit or AddressLimit(0))
    port = ports.free_port()
    async with server.listening("127.0.0.1", port):
        yield port


def to(port: int, headers: Mapping[str, str] = SHOWN, path: str = "/websocket") -> connect:
    return connect(f"ws://127.0.0.1:{port}{path}", proxy=None, additional_headers=headers)


async def refusal(port: int, headers: Mapping[str, str] = SHOWN, path: str = "/websocket") -> int:
    with pytest.raises(InvalidStatus) as refused:
        await to(port, headers, path)
    return refused.value.response.status_code


async def greet(connection: ClientConnection) -> None:
    await connection.send('{"msg":"connect","version":"1","support":["1"]}')
    assert json.loads(await connection.recv())["msg"] == "connected"


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({}, "/websocket", 401),
        ({"Authorization": "Bearer wrong"}, "/websocket", 401),
        ({"Authorization": f"bearer {TOKEN}"}, "/websocket", 401),
        ({"Authorization": f"Bearer {TOKEN} "}, "/websocket/", None),
        (SHOWN, "/websocket?x=y", None),
        (SHOWN, "/", 404),
        (SHOWN, "/websockets", 404),
        ({}, "/nowhere", 404),
        ({}, "/healthz", 200),
    ],
)
async def test_who_is_let_in(headers: Mapping[str, str], path: str, status: int | None) -> None:
    async with serving() as port:
        if status is not None:
            assert await refusal(port, headers, path) == status
        else:
            async with to(port, headers, path) as connection:
                await greet(connection)


async def test_without_a_token_all_are_let_in() -> None:
    async with serving(token="") as port, to(port, {}) as connection:
        await greet(connection)


async def test_so_many_connections_per_address_and_no_more() -> None:
    limit = AddressLimit(2, exempt=lambda _: False)
    async with serving(limit=limit) as port:
        async with to(port) as first, to(port) as second:
            assert await refusal(port) == 429
            assert await refusal(port, {}) == 401  # who has no token is not told
            await greet(first)
            await greet(second)

        async def is_free() -> bool:
            try:
                async with to(port):
                    return True
            except InvalidStatus:
                return False

        await eventually(is_free)
    await eventually(lambda: not limit._connections)


async def test_a_handshake_that_fails_takes_no_place() -> None:
    limit = AddressLimit(1, exempt=lambda _: False)
    token = f"Authorization: Bearer {TOKEN}\r\n".encode()
    async with serving(limit=limit) as port:
        async with RawHttp.to(port) as http:
            await http.send(b"GET /websocket HTTP/1.1\r\nHost: a\r\n" + token + b"\r\n")
            assert (await http.answer()).status == 426
        await eventually(lambda: not limit._connections)
        async with RawHttp.to(port) as http:
            assert (await http.ask("GET /websocket", UPGRADE + token)).status == 101


async def test_programs_of_this_machine_are_not_counted() -> None:
    async with serving(limit=AddressLimit(1)) as port, to(port) as first, to(port) as second:
        await greet(first)
        await greet(second)


async def test_a_message_of_exactly_the_limit_passes_and_one_byte_more_closes() -> None:
    start, end = '{"msg":"ping","id":"', '"}'
    longest = start + "x" * (LIMIT - len(start) - len(end)) + end
    async with serving() as port, to(port) as connection:
        await greet(connection)
        await connection.send(longest)
        assert len(await connection.recv()) == LIMIT
        await connection.send(longest + " ")
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_who_dribbles_is_closed() -> None:
    async with serving(open_timeout=0.05) as port, RawHttp.to(port) as http:
        await http.send(b"GET /websocket HTTP/1.1\r\nX-Slow: ")
        await http.dribble_until_closed()

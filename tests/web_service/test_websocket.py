"""``/websocket`` at its limits."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from shared.models.database import Database
from tests.support.ddp import CONNECT, Wire
from tests.support.raw_http import UPGRADE, RawHttp
from tests.support.waiting import eventually
from tests.support.web import Web, running_web
from web_service import keys

LIMIT = 1_000_000


@pytest.fixture
async def web(idle_database: Database) -> AsyncIterator[Web]:
    settings = {"maxMessageMegabytes": 1, "maxConnectionsPerAddress": 2}
    async with running_web(
        idle_database, follows=False, web={"forwardedCount": 1}, rpc=settings
    ) as web:
        yield web


def ping_of(size: int) -> str:
    start, end = '{"msg":"ping","id":"', '"}'
    return start + "x" * (size - len(start) - len(end)) + end


async def test_a_message_of_exactly_the_limit_passes(web: Web) -> None:
    async with Wire.to(web.websocket) as wire:
        await wire.send(ping_of(LIMIT))
        assert len(await wire.next()) == LIMIT  # the pong


async def test_one_byte_more_closes(web: Web) -> None:
    async with Wire.to(web.websocket) as wire:
        await wire.send(ping_of(LIMIT + 1))
        assert (await wire.closed())[0] == 1009


async def from_address(http: RawHttp, address: str) -> int:
    forwarded = f"X-Forwarded-For: 6.6.6.6, {address}\r\n".encode()
    return (await http.ask("GET /websocket", UPGRADE + forwarded)).status


async def test_so_many_connections_per_address_and_no_more(web: Web) -> None:
    async with (
        RawHttp.to(web.port) as first,
        RawHttp.to(web.port) as second,
        RawHttp.to(web.port) as third,
    ):
        assert await from_address(first, "7.7.7.7") == 101
        assert await from_address(second, "7.7.7.7") == 101

        forwarded = b"X-Forwarded-For: 7.7.7.7\r\n"
        answer = await third.ask("GET /websocket", UPGRADE + forwarded)
        assert answer.status == 429
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.body)["code"] == "too-many-connections"
        # It was an ordinary answer: the connection goes on, from wherever it is.
        assert await from_address(third, "8.8.8.8") == 101

    async with RawHttp.to(web.port) as fourth:
        assert await eventually(lambda: from_address(fourth, "7.7.7.7")) == 101


async def test_what_is_no_upgrade_takes_no_place(web: Web) -> None:
    async with RawHttp.to(web.port) as http, RawHttp.to(web.port) as other:
        forwarded = b"Host: localhost\r\nX-Forwarded-For: 7.7.7.7\r\n"
        for _ in range(3):
            assert (await http.ask("GET /websocket", forwarded)).status == 400
        assert await from_address(http, "7.7.7.7") == 101
        assert await from_address(other, "7.7.7.7") == 101


async def test_programs_of_this_machine_are_not_counted(idle_database: Database) -> None:
    async with (
        running_web(idle_database, follows=False, rpc={"maxConnectionsPerAddress": 1}) as web,
        Wire.to(web.websocket),
        Wire.to(web.websocket),
    ):
        assert web.app[keys.DDP].connections == 2


async def test_the_address_is_the_one_that_our_proxy_tells(web: Web) -> None:
    addresses: list[str] = []
    web.app[keys.DDP].on_connection(lambda session: addresses.append(session.client_address))
    headers = {"X-Forwarded-For": "6.6.6.6, 7.7.7.7"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(web.websocket, headers=headers) as socket,
    ):
        await socket.send_str(CONNECT)
        await socket.receive_str(timeout=10)
    assert addresses == ["7.7.7.7"]

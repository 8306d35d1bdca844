"""Sessions, byte for byte: negotiation, garbage, heartbeat, close, and the peer itself."""

import asyncio
import json
import re
import sys
from typing import Any

import aiohttp
import pytest

from tests.conformance.conftest import serving
from tests.conformance.server import ddp_server
from tests.support.ddp import CONNECT, Wire, method, sub
from tests.support.paths import ROOT


@pytest.mark.parametrize("version", ["1", "pre2", "pre1"])
async def test_38_every_version(peer: str, version: str) -> None:
    connect = f'{{"msg":"connect","version":"{version}","support":["{version}"]}}'
    async with Wire.to(peer, "") as wire:
        await wire.send(connect)
        welcome = await wire.next()
        assert re.fullmatch(r'\{"msg":"connected","session":"[2-9A-HJ-NP-Za-km-z]{17}"\}', welcome)


@pytest.mark.parametrize(
    ("connect", "offered"),
    [
        ({"version": "9", "support": ["9"]}, "1"),
        ({"version": "1"}, "1"),
        ({"version": "pre1", "support": ["1", "pre1"]}, "1"),
        ({"version": "1", "support": ["pre2", "1"]}, "pre2"),
    ],
)
async def test_38_failed(peer: str, connect: dict[str, Any], offered: str) -> None:
    async with Wire.to(peer, "") as wire:
        await wire.send({"msg": "connect"} | connect)
        assert await wire.closed() == (1000, [f'{{"msg":"failed","version":"{offered}"}}'])


async def test_messages_behind_connect_are_taken(peer: str) -> None:
    async with Wire.to(peer, "") as wire:
        await wire.send(CONNECT, method("1", "who"))
        assert [json.loads(text)["msg"] for text in await wire.take(3)] == [
            *("connected", "updated", "result")
        ]


GARBAGE = [
    ("{", '{"msg":"error","reason":"Bad request"}'),
    ("null", '{"msg":"error","reason":"Bad request"}'),
    ("5", '{"msg":"error","reason":"Bad request"}'),
    ("", '{"msg":"error","reason":"Bad request"}'),
    ("[1, 2]", '{"msg":"error","reason":"Bad request","offendingMessage":[1,2]}'),
    ("{}", '{"msg":"error","reason":"Bad request","offendingMessage":{}}'),
    (
        '{"msg":"nope","x":1}',
        '{"msg":"error","reason":"Bad request","offendingMessage":{"msg":"nope","x":1}}',
    ),
    (
        '{"msg":"sub","id":1,"name":"items"}',
        (
            '{"msg":"error","reason":"Malformed subscription",'
            '"offendingMessage":{"msg":"sub","id":1,"name":"items"}}'
        ),
    ),
    (
        '{"msg":"method","id":"1","method":"echo","params":{}}',
        (
            '{"msg":"error","reason":"Malformed method invocation",'
            '"offendingMessage":{"msg":"method","id":"1","method":"echo","params":{}}}'
        ),
    ),
    (
        '{"msg":"unsub","id":5}',
        (
            '{"msg":"error","reason":"Malformed unsubscription",'
            '"offendingMessage":{"msg":"unsub","id":5}}'
        ),
    ),
    (
        CONNECT,
        f'{{"msg":"error","reason":"Already connected","offendingMessage":{CONNECT}}}',
    ),
]


@pytest.mark.parametrize(("garbage", "answer"), GARBAGE)
async def test_garbage_is_answered_and_the_session_lives(
    wire: Wire, garbage: str, answer: str
) -> None:
    assert await wire.ask(garbage) == [answer]
    assert len(await wire.ask(method("1", "who"))) == 2


async def test_nothing_before_connect(peer: str) -> None:
    async with Wire.to(peer, "") as wire:
        await wire.send('{"msg":"ping"}')
        assert await wire.next() == (
            '{"msg":"error","reason":"Must connect first","offendingMessage":{"msg":"ping"}}'
        )


async def test_bad_ejson_is_a_400_and_the_session_lives(wire: Wire) -> None:
    bad = '{"msg":"method","id":"1","method":"echo","params":[{"$type":"nope","$value":1}]}'
    answers = await wire.ask(bad, method("2", "who"))
    assert json.loads(answers[1])["error"]["error"] == 400
    assert len(answers) == 4


async def test_a_binary_frame_is_read_as_text(wire: Wire) -> None:
    assert await wire.ask(b'{"msg":"ping","id":"b"}') == ['{"msg":"pong","id":"b"}']


async def test_pre1_has_no_ping(peer: str) -> None:
    async with Wire.to(peer, '{"msg":"connect","version":"pre1","support":["pre1"]}') as wire:
        assert await wire.ask('{"msg":"ping"}') == [
            '{"msg":"error","reason":"Bad request","offendingMessage":{"msg":"ping"}}'
        ]


async def test_3_a_method_closes_its_connection(wire: Wire) -> None:
    await wire.send(method("1", "drop"))
    assert await wire.closed() == (
        1000,
        ['{"msg":"updated","methods":["1"]}', '{"msg":"result","id":"1","result":"dropping"}'],
    )


async def test_disconnect_ends_the_session_without_an_answer(wire: Wire) -> None:
    await wire.send({"msg": "disconnect"})
    assert await wire.closed() == (1000, [])


async def test_104_a_silent_client_is_closed() -> None:
    async with serving(ddp_server(heartbeat=0.05)) as url, Wire.to(url) as wire:
        assert await wire.closed() == (1000, ['{"msg":"ping"}'])


async def test_104_a_client_that_answers_is_not() -> None:
    async with serving(ddp_server(heartbeat=0.05)) as url, Wire.to(url) as wire:
        for _ in range(3):
            assert await wire.next() == '{"msg":"ping"}'
            await wire.send({"msg": "pong"})


async def test_an_oversized_message_ends_only_its_own_connection() -> None:
    async with serving(ddp_server(), max_bytes=1000) as url, Wire.to(url) as wire:
        async with Wire.to(url) as other:
            assert await other.ask("x" * 1000) == ['{"msg":"error","reason":"Bad request"}']
            await other.send("x" * 1001)
            assert await other.closed() == (1009, [])
        assert len(await wire.ask(method("1", "who"))) == 2


async def test_2_a_client_that_leaves_takes_its_subscriptions_along(peer: str, wire: Wire) -> None:
    async with Wire.to(peer) as other:
        await other.ask(sub("1", "items"))
        await other.send({"msg": "disconnect"})
        await other.closed()
    await wire.ask(sub("1", "items"))
    answers = await wire.ask(method("1", "touch"))
    assert [json.loads(text)["msg"] for text in answers] == [
        *("changed", "removed", "updated", "result")
    ]


@pytest.mark.parametrize(
    "path",
    ["/websocket", "/websocket/", "/sockjs/websocket", "/sockjs/websocket/", "/websocket?x=1"],
)
async def test_99_where_it_listens(peer: str, path: str) -> None:
    async with Wire.to(peer.replace("/websocket", path)) as wire:
        assert wire.session


async def test_99_what_is_no_websocket_is_refused(peer: str) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(peer) as answer:
            assert answer.status == 400
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await http.ws_connect(peer.replace("/websocket", "/nowhere"))


async def test_the_peer_as_a_program() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.conformance.server"),
        *("--port", "0", "--heartbeat", "0.05", "--limit"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        (url,) = re.findall(r"http://\S+", line)
        async with Wire.to(url + "/websocket") as wire:
            await wire.send(*(method(str(n), "echo") for n in range(4)))
            _, texts = await wire.closed()
            assert "too-many-requests" in texts[7]
            assert texts[-1] == '{"msg":"ping"}'
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0

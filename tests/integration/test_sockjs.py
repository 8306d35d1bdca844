"""The web service over SockJS: the page's login counts, and ends with it."""

import json
import re
import uuid

import aiohttp

from tests.support.ddp import CONNECT, Message, Wire, method
from tests.support.stack import Api, Stack


class Polling:
    """A DDP client that polls with the cookies of ``api``."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._path = f"{api.url}/sockjs/000/{uuid.uuid4().hex}"

    async def frame(self) -> str:
        async with self._api.http.post(self._path + "/xhr") as answer:
            assert answer.status == 200
            return (await answer.text()).removesuffix("\n")

    async def send(self, message: Message | str) -> int:
        text = message if isinstance(message, str) else json.dumps(message)
        async with self._api.http.post(self._path + "/xhr_send", json=[text]) as answer:
            return answer.status

    async def result(self, message: Message | str) -> Message:
        """The first ``result`` or ``connected`` in answer."""
        assert await self.send(message) == 204
        while True:
            frame = await self.frame()
            assert frame[0] == "a", frame
            for text in json.loads(frame[1:]):
                answer: Message = json.loads(text)
                if answer["msg"] in ("result", "connected"):
                    return answer


ECHO = method("1", "jobs.call", "system.echo", {"value": 5})


async def test_the_page_s_cookie_logs_in_and_logging_out_closes(stack: Stack) -> None:
    async with stack.client("ann") as ann:
        client = Polling(ann)
        assert await client.frame() == "o"
        assert (await client.result(CONNECT))["msg"] == "connected"
        assert (await client.result(ECHO))["result"] == 5
        cookies = {cookie.key: cookie.value for cookie in ann.http.cookie_jar}
        status, _ = await ann.json("POST", "/api/logout")
        assert status == 204
        ann.http.cookie_jar.update_cookies(cookies)
        assert await client.frame() == 'c[1000,"logged out"]'


async def test_nobody_is_logged_in_without_it(nobody: Api) -> None:
    client = Polling(nobody)
    assert await client.frame() == "o"
    assert (await client.result(CONNECT))["msg"] == "connected"
    assert (await client.result(ECHO))["error"]["error"] == 401


async def test_another_site_s_page_is_refused(ann: Api) -> None:
    foreign = {"Origin": "http://foreign.test"}
    for verb, path in (("POST", "xhr"), ("GET", "eventsource"), ("POST", "xhr_send")):
        url = f"{ann.url}/sockjs/0/x/{path}"
        async with ann.http.request(verb, url, headers=foreign) as answer:
            assert answer.status == 403
    async with ann.http.get(ann.url + "/sockjs/info", headers=foreign) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_receivers_are_not_measured(ann: Api) -> None:
    client = Polling(ann)
    assert await client.frame() == "o"
    assert await client.send("{}") == 204
    async with ann.http.get(ann.url + "/metrics") as answer:
        metrics = await answer.text()
    measured = set(
        re.findall(r'tandem_http_request_seconds_count\{.*route="(\S+?)",status="20', metrics)
    )
    assert "/sockjs/{server}/{session}/xhr_send" in measured
    assert "/sockjs/{server}/{session}/xhr" not in measured


async def test_the_live_connection_has_its_other_addresses(ann: Api) -> None:
    for path in ("/websocket/", "/websocket?x=1", "/sockjs/websocket"):
        async with Wire.to(ann.url + path) as wire:
            assert wire.session
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{ann.url}/sockjs/0/0/websocket") as socket,
    ):
        assert await socket.receive_str() == "o"

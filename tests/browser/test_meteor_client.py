"""Meteor's own client, from npm, in Chromium and over SockJS: against the peer and the services.

It is a build of Meteor 1.3: the one that was published. It takes only standard messages, in the
right order, and ends no call before its ``updated``.
"""

import asyncio
import json
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Route

from tests.conformance.conftest import serving
from tests.conformance.expectations import Client, error, expected, expected_of_services
from tests.conformance.server import ddp_server
from tests.support.npm_clients import FOLDER, Event, event_of, require_modules
from tests.support.proxy import Plan, Proxy
from tests.support.stack import PASSWORD, Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECONDS = 60
METEOR = Client(
    "meteor",
    regexps=False,
    object_ids=True,
    client_safe=False,
    # It asks again, with the same id and its old session's, and the server knows of both.
    settled=error(
        "interrupted", "The connection was lost while the method ran; it may have had an effect."
    ),
)


async def test_meteors_client_and_the_peer(browser: Browser) -> None:
    async with serving(ddp_server()) as url:
        events, sockets = await seen(browser, urlsplit(url).port, scenario="peer")
    assert events == expected(METEOR)
    assert [address.split("/")[1] for address in sockets] == ["sockjs"] * 3


async def test_meteors_client_and_the_services(browser: Browser, stack: Stack) -> None:
    user = {"username": "ann", "password": PASSWORD}
    events, _ = await seen(browser, stack.web.port, scenario="web", **user)
    assert events == expected_of_services()


async def seen(browser: Browser, port: int | None, **what: Any) -> tuple[list[Event], list[str]]:
    """What the page of the clients tells of a scenario, and the paths of its WebSockets."""
    assert port is not None
    require_modules()
    events: list[Event] = []
    sockets: list[str] = []
    ended = asyncio.Event()
    async with (
        Proxy(port, lambda _: Plan()).listening() as proxy,
        await browser.new_context() as context,
    ):

        def told(message: ConsoleMessage) -> None:
            if message.type != "log":
                return
            events.append(event_of(message.text))
            match events[-1][0]:
                case "cut me":
                    proxy.reset_all()
                case "done" | "failed":
                    ended.set()

        page = await context.new_page()
        page.on("console", told)
        page.on("websocket", lambda socket: sockets.append(urlsplit(socket.url).path))
        await page.route("**/clients/**", file_of_the_clients)
        what_to_do = quote(json.dumps(what))
        await page.goto(f"http://127.0.0.1:{proxy.port}/clients/meteor.html#{what_to_do}")
        async with asyncio.timeout(SECONDS):
            await ended.wait()
    assert events.pop() == ("done", None), events
    return events, sockets


async def file_of_the_clients(route: Route) -> None:
    path = urlsplit(route.request.url).path.removeprefix("/clients/")
    await route.fulfill(path=FOLDER / path)

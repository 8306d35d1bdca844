"""What comes first on each session: hooks, and a login with Meteor's accounts."""

import asyncio
from itertools import count
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.rpc.client import Client, ClientConfig
from shared.rpc.errors import ConnectionLost, MethodError
from shared.rpc.keeper import Backoff
from shared.rpc.login import Caller, PasswordLogin
from shared.rpc.server import MethodContext
from tests.shared.rpc.conftest import CLOSE, DROP, Endpoint, Message, World, outcome
from tests.support.waiting import eventually

QUICK = Backoff(base=0.001, limit=0.01)


async def log_in(context: MethodContext, user_id: str) -> None:
    await context.set_user_id(user_id)


async def who(context: MethodContext) -> str | None:
    return context.user_id


async def serve(world: World) -> Endpoint:
    return await world.serve({"login": log_in, "who": who})


async def first_login(caller: Caller) -> None:
    await caller.call("login", "ada")


async def test_100_a_login_comes_first_on_each_session(world: World) -> None:
    endpoint = await serve(world)
    client = Client(endpoint.url, config=ClientConfig(backoff=QUICK, queue_offline=True))
    client.on_connect(first_login)
    async with client, asyncio.TaskGroup() as group:
        early = group.create_task(client.call("who"))
        assert await early == "ada"
        endpoint.cut()
        await eventually(lambda: len(endpoint.requests) == 2)
        again = group.create_task(client.call("who"))
        assert await again == "ada"


async def test_101_the_server_knows_the_user_before_what_is_sent_again(world: World) -> None:
    endpoint = await serve(world)
    client = Client(endpoint.url, config=ClientConfig(backoff=QUICK))
    client.on_connect(first_login)
    cut = asyncio.Event()

    async def cut_once(_caller: Caller) -> None:
        if not cut.is_set():
            cut.set()
            endpoint.cut()

    client.on_connect(cut_once)
    async with client:
        await client.connected()
        assert await client.call("who", retry=True) == "ada"


async def test_a_resumed_session_needs_no_login(world: World) -> None:
    dropped = asyncio.Event()

    def script(message: Message) -> list[Any]:
        if message["msg"] == "connect":
            return [{"msg": "connected", "session": "S"}]
        if message.get("method") == "drop" and not dropped.is_set():
            dropped.set()
            return [DROP]
        return [{"msg": "result", "id": message["id"]}] if message["msg"] == "method" else []

    server = await world.scripted(script)
    client = Client(server.url, config=ClientConfig(backoff=QUICK))
    client.on_connect(first_login)
    async with client:
        await client.connected()
        await client.call("drop")
    assert [m["method"] for m in server.said("method")] == ["login", "drop", "drop"]


async def test_a_failing_hook_is_shown_and_holds_up_nobody(world: World) -> None:
    endpoint = await serve(world)
    client = Client(endpoint.url)
    ran: list[int] = []

    async def fail(caller: Caller) -> None:
        ran.append(1)
        await caller.call("nope")

    client.on_connect(fail)
    seen: list[Any] = []
    client.on_status(lambda status: seen.append((status.status, status.reason)))
    with capture_logs() as logs:
        async with client:
            await client.connected()
            assert await client.call("who") is None
            assert isinstance(client.last_error, MethodError)
            assert client.status == "connected"
    assert seen[-2] == ("connected", client.last_error)
    assert [entry["event"] for entry in logs] == ["rpc.login_failed"]


async def test_a_hook_that_hangs_is_given_up(world: World) -> None:
    endpoint = await serve(world)
    client = Client(endpoint.url, config=ClientConfig(login_seconds=0.01))

    async def hang(_caller: Caller) -> None:
        await asyncio.Event().wait()

    client.on_connect(hang)
    with capture_logs():
        async with client:
            await client.connected()
            assert await client.call("who") is None
            assert isinstance(client.last_error, TimeoutError)


async def test_closing_ends_a_login(world: World) -> None:
    server = await world.scripted(
        lambda message: [{"msg": "connected", "session": "S"}] if "support" in message else []
    )
    client = Client(server.url)
    client.on_connect(first_login)
    async with asyncio.TaskGroup() as group:
        async with client:
            await client.connected()
            call = group.create_task(outcome(client.call("who")))
            await eventually(lambda: server.said("method"))
        assert isinstance(await call, ConnectionLost)


class Accounts:
    """The part of Meteor's accounts that a client needs; one session per connection."""

    def __init__(self) -> None:
        self.options: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self._drops = 0
        self._numbers = count(1)

    def __call__(self, message: Message) -> list[Any]:
        if message["msg"] == "connect":
            return [{"msg": "connected", "session": str(next(self._numbers))}]
        if message["msg"] != "method":
            return []
        if message["method"] == "drop":
            self._drops += 1
            if self._drops == 2:
                self.tokens.clear()
            return [CLOSE]
        (options,) = message["params"]
        self.options.append(options)
        if "resume" in options and options["resume"] not in self.tokens:
            error = {"error": 403, "reason": "Your session has expired. Please log in again."}
            return [{"msg": "result", "id": message["id"], "error": error}]
        token = options.get("resume") or f"token {next(self._numbers)}"
        self.tokens.add(token)
        return [{"msg": "result", "id": message["id"], "result": {"id": "ada", "token": token}}]


async def test_a_password_is_needed_only_once(world: World) -> None:
    accounts = Accounts()
    server = await world.scripted(accounts)
    client = Client(server.url, config=ClientConfig(backoff=QUICK))
    login = PasswordLogin({"username": "ada"}, "secret")
    client.on_connect(login)
    async with client:
        for _ in range(3):
            await client.connected()
            with pytest.raises(ConnectionLost):  # sent after the login, so that is over
                await client.call("drop")
        await eventually(lambda: len(accounts.options) == 5)
    assert login.user_id == "ada"
    first, resumed, expired, again, _last = accounts.options
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    assert first == {
        "user": {"username": "ada"},
        "password": {"digest": digest, "algorithm": "sha-256"},
    }
    assert resumed == expired == {"resume": "token 2"}
    assert again == first

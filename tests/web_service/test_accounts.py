"""Logging in and out over DDP, as Meteor's clients do it, and what ends with a login."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from shared.models.database import Database
from shared.models.session_store import SessionStore, session_id
from shared.models.user_store import UserStore
from shared.models.users import User
from shared.rpc.server import Session
from tests.support.ddp import CONNECT, DdpClient, Message, Wire, method, sub
from tests.support.stack import PASSWORD
from tests.support.waiting import eventually
from tests.support.web import Web, running_web
from web_service import keys

NO_JOB = "0" * 24
BY_NAME = {"user": {"username": "anna"}, "password": PASSWORD}


@pytest.fixture
async def web(database: Database, anna: User) -> AsyncIterator[Web]:
    many = [{"name": "login", "per": "connection", "calls": 100, "seconds": 10.0}]
    async with running_web(database, web={"rateLimits": many}) as web:
        yield web


@asynccontextmanager
async def connected(web: Web, token: str = "") -> AsyncIterator[DdpClient]:
    """A connection, logged in by its handshake if there is a token."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(web.websocket, headers=headers) as socket,
    ):
        client = DdpClient(socket)
        async with client.running():
            await client.connect()
            yield client


async def log_in(client: DdpClient, **options: Any) -> Message:
    answer: Message = await client.call("login", options or BY_NAME)
    return answer


async def error_of(client: DdpClient, name: str, *params: Any) -> Message:
    answer = await client.result(await client.send_method(name, *params))
    error: Message = answer["error"]
    return error


async def who(client: DdpClient) -> str:
    """Whether somebody is logged in on a connection: "user", or "nobody"."""
    error = await error_of(client, "jobs.cancel", NO_JOB)
    return {404: "user", 401: "nobody"}[error["error"]]


async def closed(client: DdpClient) -> int | None:
    await eventually(lambda: client.socket.closed, message="the connection is closed")
    return client.socket.close_code


DIGEST = {"digest": hashlib.sha256(PASSWORD.encode()).hexdigest(), "algorithm": "sha-256"}


@pytest.mark.parametrize("password", [PASSWORD, DIGEST])
@pytest.mark.parametrize("by", ["username", "id"])
async def test_a_login_by_password(web: Web, anna: User, by: str, password: Any) -> None:
    user = {"username": "Anna"} if by == "username" else {"id": str(anna.id)}
    async with connected(web) as client:
        answer = await log_in(client, user=user, password=password)
        assert list(answer) == ["id", "token", "tokenExpires", "type"]
        assert answer["id"] == str(anna.id)
        assert answer["type"] == "password"
        again = await log_in(client, resume=answer["token"])
        assert again == answer | {"type": "resume"}


@pytest.mark.parametrize(
    "options",
    [
        {"user": {"username": "anna"}, "password": "wrong"},
        {"user": {"username": "nobody"}, "password": PASSWORD},
        {"user": {"id": "anna"}, "password": PASSWORD},
        {"user": {"email": "anna@example.org"}, "password": PASSWORD},
    ],
)
async def test_who_can_not_log_in_is_not_told_why(web: Web, options: Message) -> None:
    async with connected(web) as client:
        assert await error_of(client, "login", options) == {
            "isClientSafe": True,
            "error": 403,
            "reason": "Something went wrong. Please check your credentials.",
            "message": "Something went wrong. Please check your credentials. [403]",
            "errorType": "Meteor.Error",
        }
        assert await who(client) == "nobody"


@pytest.mark.parametrize("options", [{}, {"resume": ""}, {"user": {"username": "anna"}}, {"x": 1}])
async def test_options_that_nothing_handles(web: Web, options: Message) -> None:
    async with connected(web) as client:
        error = await error_of(client, "login", options)
        assert error["message"] == "Unrecognized options for login request [400]"


@pytest.mark.parametrize(
    "options",
    [
        "anna",
        None,
        {"resume": 5},
        {"password": PASSWORD},
        {"user": {}, "password": PASSWORD},
        {"user": {"username": "anna", "id": "x"}, "password": PASSWORD},
        {"user": {"username": 5}, "password": PASSWORD},
        {"user": {"username": "anna"}, "password": 5},
        {"user": {"username": "anna"}, "password": {"digest": "x", "algorithm": "sha-256"}},
        {"user": {"username": "anna"}, "password": "x" * 1025},
    ],
)
async def test_ill_typed_options(web: Web, options: Any) -> None:
    async with connected(web) as client:
        error = await error_of(client, "login", options)
        assert (error["error"], error["reason"]) == (400, "Match failed")


async def test_tokens_that_have_ended_and_expired(web: Web, database: Database, anna: User) -> None:
    expired = await SessionStore(database, lifetime=timedelta(seconds=-1)).create(anna)
    async with connected(web) as client:
        error = await error_of(client, "login", {"resume": expired.token})
        assert error["message"] == "Your session has expired. Please log in again. [403]"
        error = await error_of(client, "login", {"resume": "never was one"})
        assert error["message"] == (
            "You've been logged out by the server. Please log in again. [403]"
        )


async def test_101_the_user_is_known_before_what_is_sent_behind_the_login(
    web: Web, database: Database, anna: User
) -> None:
    token = (await SessionStore(database).create(anna)).token
    async with Wire.to(web.websocket, connect="") as wire:
        await wire.send(
            CONNECT,
            method("1", "login", {"resume": token}),
            method("2", "jobs.cancel", NO_JOB),
            sub("3", "jobs.one", NO_JOB),
        )
        messages = [json.loads(await wire.next())]
        while messages[-1]["msg"] != "nosub":
            messages.append(json.loads(await wire.next()))
    results = {m["id"]: m for m in messages if m["msg"] == "result"}
    assert results["1"]["result"]["id"] == str(anna.id)
    assert results["2"]["error"]["error"] == 404  # not 401
    assert messages[-1]["error"]["error"] == 404


async def test_everybody_is_published_to_themselves(
    web: Web, database: Database, anna: User
) -> None:
    async with connected(web) as client:
        await client.subscribe("meteor.loginServiceConfiguration")
        await client.subscribe("meteor_autoupdate_clientVersions")
        assert client.documents("users") == {}

        await log_in(client)
        # A string that looks like an ObjectId has a dash before it on the wire.
        wire_id = f"-{anna.id}"
        assert client.documents("users") == {wire_id: {"username": "anna", "role": "user"}}
        shown = [m["msg"] for m in client.received if m.get("id") == wire_id or "result" in m]
        assert shown == ["added", "result"]  # as it is known when the login succeeds

        renamed = {"$set": {"username": "anne"}}
        await database.collection("users").update_one({"_id": anna.id}, renamed)
        await eventually(lambda: client.documents("users")[wire_id]["username"] == "anne")

        await client.call("logout")
        assert client.documents("users") == {}
        assert await who(client) == "nobody"


async def test_a_user_who_is_deleted_is_logged_out(
    web: Web, database: Database, anna: User
) -> None:
    async with connected(web) as client:
        await log_in(client)
        await database.collection("users").delete_one({"_id": anna.id})
        assert await closed(client) == 1000


async def test_logging_out_closes_the_other_connections_of_the_token(web: Web) -> None:
    async with connected(web) as first, connected(web) as second, connected(web) as other:
        token = (await log_in(first))["token"]
        await log_in(second, resume=token)
        await log_in(other)

        await first.call("logout")

        assert await closed(second) == 1000
        assert await who(first) == "nobody"
        assert await who(other) == "user"
        assert (await error_of(first, "login", {"resume": token}))["error"] == 403
        await first.call("logout")  # nobody can log out too


async def test_a_new_token_and_no_other_ones(web: Web) -> None:
    async with connected(web) as first, connected(web) as second, connected(web) as fresh:
        old = await log_in(first)
        await log_in(second, resume=old["token"])

        new = await first.call("getNewToken")
        assert list(new) == ["id", "token", "tokenExpires"]
        assert new["id"] == old["id"]
        assert new["tokenExpires"] == old["tokenExpires"]
        assert await who(second) == "user"  # the old token is still one

        assert await first.call("removeOtherTokens") is None
        assert await closed(second) == 1000
        assert await who(first) == "user"
        assert (await error_of(fresh, "login", {"resume": old["token"]}))["error"] == 403
        assert (await log_in(fresh, resume=new["token"]))["id"] == old["id"]


async def test_logging_out_everywhere(web: Web) -> None:
    async with connected(web) as first, connected(web) as second:
        await log_in(first)
        await log_in(second)
        await first.call("logoutAllClients")
        assert await closed(second) == 1000
        assert await who(first) == "nobody"
        await first.call("logoutAllClients")


@pytest.mark.parametrize("name", ["getNewToken", "removeOtherTokens"])
async def test_who_is_not_logged_in_has_no_tokens(web: Web, name: str) -> None:
    async with connected(web) as client:
        assert await error_of(client, name) == {
            "isClientSafe": True,
            "error": "You are not logged in.",
            "message": "[You are not logged in.]",
            "errorType": "Meteor.Error",
        }


async def test_a_connection_that_came_with_a_token_ends_with_it(
    web: Web, database: Database, anna: User
) -> None:
    sessions = SessionStore(database)
    token = (await sessions.create(anna)).token
    async with connected(web, token) as client, connected(web, "never was one") as nobody:
        assert await who(client) == "user"
        await sessions.delete(session_id(token))  # by another process, or its time was up
        assert await closed(client) == 1000
        assert await who(nobody) == "nobody"


async def test_a_token_removed_in_one_process_closes_connections_in_another(
    web: Web, database: Database, anna: User
) -> None:
    async with running_web(database) as other, connected(web) as here, connected(other) as there:
        token = (await log_in(here))["token"]
        await log_in(there, resume=token)
        await here.call("logout")
        assert await closed(there) == 1000
        assert await who(here) == "nobody"


async def test_a_login_that_ends_while_it_is_made_is_noticed(
    web: Web, database: Database, anna: User
) -> None:
    """It had ended before the connection was registered: no event comes any more."""
    sessions: list[Session] = []
    web.app[keys.DDP].on_connection(sessions.append)
    token = (await SessionStore(database).create(anna)).token
    await SessionStore(database).delete(session_id(token))
    async with connected(web) as client:
        web.app[keys.LOGINS].bind(sessions[0], session_id(token))
        assert await closed(client) == 1000


async def test_a_session_that_waits_for_its_client_ends_with_its_login_too(web: Web) -> None:
    ended = asyncio.Event()
    web.app[keys.DDP].on_connection(lambda session: session.on_close(ended.set))
    async with Wire.to(web.websocket) as wire:
        dropped = wire.session
        answers = await wire.ask(method("1", "login", BY_NAME))
        token = json.loads(answers[-1])["result"]["token"]
        await wire.socket.close(code=4000)
    async with connected(web) as client:
        assert not ended.is_set()
        await log_in(client, resume=token)
        await client.call("logout")
        async with asyncio.timeout(10):
            await ended.wait()
    offered = f', "session":"{dropped}","receivedCount":{1 + len(answers) + 1}}}'
    async with Wire.to(web.websocket, CONNECT.removesuffix("}") + offered) as wire:
        assert wire.session != dropped


async def test_guessing_is_slowed_down_per_connection(database: Database, anna: User) -> None:
    async with running_web(database) as web, connected(web) as client, connected(web) as other:
        wrong = {"user": {"username": "anna"}, "password": "wrong"}
        errors = [(await error_of(client, "login", wrong))["error"] for _ in range(6)]
        assert errors == [403] * 5 + ["too-many-requests"]
        assert (await log_in(other))["id"] == str(anna.id)


async def test_guessing_is_slowed_down_per_address_over_http_and_ddp_together(
    database: Database, anna: User
) -> None:
    limits = {"loginsPerAddress": 3, "forwardedCount": 1}
    async with (
        running_web(database, web=limits) as web,
        connected(web) as client,
        aiohttp.ClientSession() as http,
    ):
        token = (await SessionStore(database).create(anna)).token

        async def post(address: str) -> aiohttp.ClientResponse:
            body = {"username": "anna", "password": "wrong"}
            headers = {"X-Forwarded-For": f"6.6.6.6, {address}"}
            async with http.post(f"{web.url}/api/login", json=body, headers=headers) as answer:
                await answer.read()
                return answer

        assert [(await post("7.7.7.7")).status for _ in range(4)] == [401, 401, 401, 429]
        assert (await post("7.7.7.8")).status == 401
        refused = await post("7.7.7.7")
        problem = await refused.json()
        assert (problem["code"], refused.content_type) == (
            "too-many-requests",
            "application/problem+json",
        )
        assert 1 <= int(refused.headers["Retry-After"]) <= 10

        # No proxy told where this connection comes from: all such ones are one address.
        for _ in range(2):
            assert (await post("")).status == 401
        assert (await log_in(client))["type"] == "password"
        error = await error_of(client, "login", BY_NAME)
        assert error["error"] == "too-many-requests"
        assert 0 < error["details"]["timeToReset"] <= 10_000
        # A token can't be guessed, and is not counted: a crowd may reconnect at once.
        assert (await log_in(client, resume=token))["type"] == "resume"


async def test_rules_of_ones_own(database: Database, anna: User) -> None:
    rules = [{"name": "jobs.cancel", "per": "user", "calls": 1, "seconds": 60}]
    async with (
        running_web(database, web={"rateLimits": rules}) as web,
        connected(web) as first,
        connected(web) as second,
    ):
        assert [await who(first) for _ in range(3)] == ["nobody"] * 3
        await log_in(first)
        await log_in(second)
        assert await who(first) == "user"
        error = await error_of(second, "jobs.cancel", NO_JOB)
        assert error["error"] == "too-many-requests"


async def test_a_password_may_be_changed_under_a_login(
    web: Web, database: Database, anna: User
) -> None:
    async with connected(web) as client:
        await log_in(client)
        await UserStore(database).set_password(anna.id, "another one")
        assert (await error_of(client, "login", BY_NAME))["error"] == 403
        assert await who(client) == "user"

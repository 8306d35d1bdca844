"""DDP clients from npm, unmodified, against the real services: logins, and a job watched live."""

from typing import NamedTuple

import pytest

from tests.support.npm_clients import run
from tests.support.stack import PASSWORD, Stack


class Client(NamedTuple):
    """What a client does in a way of its own."""

    name: str
    resumes: bool = False
    """Whether it logs in again by itself after a drop."""
    login: tuple[str, ...] = ("id", "token", "tokenExpires", "type")
    """What it tells of a login."""
    ejson: bool = True


CLIENTS = [
    Client("simpleddp"),
    Client("meteor-sdk"),
    Client("ddp.js", ejson=False),
    Client("asteroid", resumes=True, login=("id", "token"), ejson=False),
    Client("ddp"),
    Client("ddp-client"),
    Client("meteorrn", resumes=True, login=("id", "token")),
]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_a_client_from_npm(client: Client, stack: Stack) -> None:
    user = {"TANDEM_USERNAME": "ann", "TANDEM_PASSWORD": PASSWORD}
    events, _ = await run("web", client.name, stack.web.port, user)
    jobs = [value for event, value in events if event.startswith("job")]
    date = {"date"} if client.ejson else {"$date"}
    assert [job.pop("createdAt").keys() for job in jobs] == [date] * 2
    completed = {"type": "system.echo", "state": "completed"}
    wrong = "Something went wrong. Please check your credentials."
    ended = "You've been logged out by the server. Please log in again."
    not_logged_in = {"error": 401, "reason": "Please log in."}
    assert events == [
        ("wrong password", {"error": 403, "reason": wrong}),
        ("login", list(client.login)),
        ("job", completed),
        ("cut me", None),
        *([] if client.resumes else [("resumed", True)]),
        ("job after the cut", completed),
        ("after logout", not_logged_in),
        ("resume after logout", {"error": 403, "reason": ended}),
    ]

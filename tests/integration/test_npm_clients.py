"""DDP clients from npm, unmodified, against the real services: logins, and a job watched live."""

from typing import Any

import pytest

from tests.conformance.expectations import expected_of_services
from tests.support.npm_clients import run
from tests.support.stack import PASSWORD, Stack

CLIENTS: dict[str, dict[str, Any]] = {
    "simpleddp": {},
    "meteor-sdk": {},
    "ddp.js": {"ejson": False},
    "asteroid": {"ejson": False, "resumes": True, "login": ["id", "token"]},
    "ddp": {},
    "ddp-client": {},
    "meteorrn": {"resumes": True, "login": ["id", "token"]},
}


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_from_npm(client: str, stack: Stack) -> None:
    user = {"TANDEM_USERNAME": "ann", "TANDEM_PASSWORD": PASSWORD}
    events, _ = await run("web", client, stack.web.port, user)
    assert events == expected_of_services(**CLIENTS[client])

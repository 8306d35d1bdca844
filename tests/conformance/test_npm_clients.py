"""DDP clients from npm, unmodified, against the conformance peer: all that they can do.

What a client itself cannot do, or does in a way of its own, is in ``CLIENTS``. Apart from that,
these are the same for all: calls and errors, subscriptions, a connection that the server closes
and one that is reset, after each of which calls work and subscriptions are back.
"""

from urllib.parse import urlsplit

import pytest

from tests.conformance.expectations import NULL, STAYS, Client, expected
from tests.support.npm_clients import run

DISCONNECTED = {"message": "DDPClient: Disconnected from DDP server"}

CLIENTS = [
    # Its subscriptions have a promise more than they give away.
    Client("simpleddp", unhandled=("pub-bad", 404)),
    # The same, and each of its subscriptions calls a method "foo" first.
    Client("meteor-sdk", unhandled=(404, "pub-bad", 404, 404, 404, 404)),
    Client("ddp.js", ejson=False, regexps=False, object_ids=True),
    Client("asteroid", ejson=False, regexps=False, object_ids=True),
    Client("ddp", regexps=False, object_ids=True, settled=DISCONNECTED),
    # It lays new documents over those from before a drop.
    Client("ddp-client", regexps=False, cleared=STAYS, settled=DISCONNECTED),
    *(
        Client(f"sockjs:{transport}", ejson=False, regexps=False, object_ids=True)
        for transport in ("websocket", "xhr-streaming", "eventsource")
    ),
    # Between two polls there is nothing to cut.
    Client("sockjs:xhr-polling", ejson=False, regexps=False, object_ids=True, cuts=False),
    Client("meteorrn", object_ids=True, refusals=False, cleared=NULL),
]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_a_client_from_npm(client: Client, peer: str) -> None:
    port = urlsplit(peer).port
    assert port is not None
    events, unhandled = await run("peer", client.name, port)
    assert [rejection["error"] for rejection in unhandled] == list(client.unhandled)
    assert events == expected(client)

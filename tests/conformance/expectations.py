"""What applications see of ``clients/peer.mjs`` and ``clients/web.mjs`` through clients from npm."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.support.npm_clients import Event

MOMENT_MS = 1_700_000_000_000
MOMENT_ISO = "2023-11-14T22:13:20.000Z"

GONE, NULL, STAYS = "gone", "null", "stays"


class Client(NamedTuple):
    """What an application sees through one of the clients."""

    name: str
    ejson: bool = True
    """Otherwise it is shown what is on the wire."""
    regexps: bool = True
    object_ids: bool = False
    """Otherwise a message with one is thrown away, or ends the program."""
    refusals: bool = True
    """Whether it tells that there is no such subscription."""
    cleared: str = GONE
    """What becomes of a field that was cleared."""
    client_safe: bool = True
    """Whether its errors say that they may be shown."""
    cuts: bool = True
    """Whether its connection surely ends with the one below it."""
    settled: dict[str, Any] | None = None
    """What becomes of a call under way when the connection is reset; None: it never ends."""
    unhandled: tuple[str | int, ...] = ()
    """Rejections that nobody can handle, by their codes."""


def expected_of_services(
    *,
    login: Sequence[str] = ("id", "token", "tokenExpires", "type"),
    resumes: bool = False,
    ejson: bool = True,
) -> list[Event]:
    """All events of the web service, in order.

    ``login``: what the client tells of one. ``resumes``: it logs in again by itself after a drop.
    """
    job = {"type": "system.echo", "state": "completed", "dated": ejson}
    wrong = "Something went wrong. Please check your credentials."
    ended = "You've been logged out by the server. Please log in again."
    return [
        ("wrong password", {"error": 403, "reason": wrong}),
        ("login", list(login)),
        ("job", job),
        ("cut me", None),
        *([] if resumes else [("resumed", True)]),
        ("job after the cut", job),
        ("after logout", {"error": 401, "reason": "Please log in."}),
        ("resume after logout", {"error": 403, "reason": ended}),
    ]


def expected(client: Client) -> list[Event]:
    """All events of the peer, in order."""
    return [
        ("connected", None),
        *calls(client),
        *errors(client),
        *subscriptions(client),
        ("drop", "dropping"),
        *after_a_drop(client, "dropped"),
        *(cut(client) if client.cuts else []),
        ("unsubscribed", {}),
    ]


def cut(client: Client) -> list[Event]:
    asked: list[Event] = [("asked", ["start long"])]
    settled: list[Event] = [("settled", client.settled), ("not asked again", [])]
    return [
        *(asked if client.settled else []),
        ("cut me", None),
        *after_a_drop(client, "cut"),
        *(settled if client.settled else []),
    ]


def calls(client: Client) -> list[Event]:
    texts = ["text", "", 'Zoë 鳥 🐦 \u2028 "\\\n', {"nested": [{"deep": {"er": None}}, []]}]
    plain: list[Event] = [
        ("echo", [1, -2.5, 1e21, True, None, *texts]),
        ("none", []),
        ("nul", None),
        ("nothing", None),
        ("two at a time", ["first", 3]),
    ]
    return plain + typed_calls(client) + ([("oid", object_id(client))] if client.object_ids else [])


def typed_calls(client: Client) -> list[Event]:
    regexp = {"regexp": "/a.b/gi"} if client.regexps else {"$regexp": "a.b", "$flags": "gi"}
    if client.ejson:
        return [
            ("date echoed", [{"date": MOMENT_MS}]),
            ("bytes echoed", [{"bytes": [0, 127, 255]}]),
            ("literal echoed", [{"$date": 5}]),
            ("dt", {"a": [{"date": 5}]}),
            ("bin", {"bytes": [1, 2, 3]}),
            ("inf", [{"number": name} for name in ("Infinity", "-Infinity", "NaN")]),
            ("re", regexp),
            ("lit", {"$date": 5}),
        ]
    return [
        ("date echoed", [MOMENT_ISO]),
        ("bytes echoed", [{"0": 0, "1": 127, "2": 255}]),
        ("literal echoed", [{"$date": 5}]),
        ("dt", {"a": [{"$date": 5}]}),
        ("bin", {"$binary": "AQID"}),
        ("inf", [{"$InfNaN": sign} for sign in (1, -1, 0)]),
        ("re", regexp),
        ("lit", {"$escape": {"$date": 5}}),
    ]


def object_id(client: Client) -> dict[str, str]:
    value = "aabbccddeeff001122334455"
    return {"oid": value} if client.ejson else {"$type": "oid", "$value": value}


def errors(client: Client) -> list[Event]:
    details = {"why": 42, "at": MOMENT_ISO}
    methods = [
        ("error fail", error("bad-thing", "It went wrong") | {"details": details}),
        ("error failBare", error("bare", None)),
        ("error failNum", error(403, "Forbidden")),
        ("error boom", error(500, "Internal server error")),
        ("error nope", error(404, "Method 'nope' not found")),
    ]
    refusals = [
        ("refused failing", error("pub-bad", "no")),
        ("refused nope", error(404, "Subscription 'nope' not found")),
    ]
    marked = {"isClientSafe": True} if client.client_safe else {}
    told = methods + (refusals if client.refusals else [])
    return [(event, value | marked) for event, value in told]


def error(code: str | int, reason: str | None) -> dict[str, Any]:
    told = {"error": code, "errorType": "Meteor.Error"}
    if reason is None:
        return told | {"message": f"[{code}]"}
    return told | {"reason": reason, "message": f"{reason} [{code}]"}


class Items:
    """Document a as the client shows it."""

    def __init__(self, client: Client) -> None:
        self._cleared = client.cleared
        at = {"date": MOMENT_MS} if client.ejson else {"$date": MOMENT_MS}
        self.a: dict[str, Any] = {"n": 1, "gone": "x", "at": at, "user": None}

    def change(self, *cleared: str, **fields: Any) -> dict[str, Any]:
        self.a |= fields
        for name in cleared:
            if self._cleared == NULL:
                self.a[name] = None
            elif self._cleared == GONE:
                del self.a[name]
        return dict(self.a)


def subscriptions(client: Client) -> list[Event]:
    items = Items(client)
    return [
        ("items", {"a": dict(items.a), "b": {"n": 1}}),
        ("touched", {"a": items.change("gone", n=2)}),
        ("both", {"a": items.change(extra="e", n2=5), "c": {}}),
        ("one", {"a": items.change("extra", "n2")}),
    ]


def after_a_drop(client: Client, name: str) -> list[Event]:
    items = Items(client)
    if client.cleared == STAYS:
        items.change(extra="e", n2=5)
    return [
        ("connected again", None),
        ("call", 5),
        (f"{name}: items", {"a": dict(items.a), "b": {"n": 1}}),
        (f"{name}: touched", {"a": items.change("gone", n=2)}),
    ]

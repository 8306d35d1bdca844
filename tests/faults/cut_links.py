"""Callers and subscribers over a link that keeps breaking at a random byte.

``python -m tests.faults.cut_links --drops 1000 --seed N`` prints what came of it. Client,
proxy and server are real ends of real sockets; the server notes every method that it
runs, so none can run twice unnoticed.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final

import msgspec
import structlog
from websockets.asyncio.server import ServerConnection, serve

from shared.rpc.client import Client, ClientConfig
from shared.rpc.ddp.client import ClientSessionConfig
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ddp.server import ServerConfig
from shared.rpc.errors import ConnectionLost
from shared.rpc.keeper import Backoff
from shared.rpc.server import MethodContext, Server, Strategy, Subscription
from shared.rpc.transport import TransportConfig, WebSocketTransport, peer_of
from tests.support.proxy import Kind, Plan, Proxy, dropping
from tests.support.waiting import eventually

_HEARTBEAT: Final = HeartbeatConfig(interval=0.15, timeout=0.25)
_CLIENT: Final = ClientConfig(
    session=ClientSessionConfig(heartbeat=_HEARTBEAT, connect_timeout=0.5),
    transport=TransportConfig(open_timeout=0.5, close_timeout=0.2),
    backoff=Backoff(base=0.001, limit=0.02, stable=0.0),
)
_SERVER: Final = ServerConfig(heartbeat=_HEARTBEAT, connect_timeout=0.5)
_KINDS: Final = (*[Kind.RESET] * 4, *[Kind.CLOSE] * 3, *[Kind.HALF_CLOSE] * 2, Kind.STALL)
"""A stall takes as long as the heartbeat needs to notice it."""
_MOST_BYTES: Final = 8_000
_FEED: Final = "feed"
_DOCUMENTS: Final = 8
_SETTLED_SECONDS: Final = 30.0
"""A call that takes longer is one that nobody settles."""


class Outcome(msgspec.Struct):
    """What came of one run."""

    drops: Counter[str]
    sessions: int = 0
    answered: int = 0
    lost: int = 0
    """Calls that ended in ``ConnectionLost``."""
    unsettled: int = 0
    wrong: int = 0
    """Calls with somebody else's answer, or none that ran although it was said they had not."""
    ran: int = 0
    twice: int = 0
    told: int = 0
    """Data messages that the application saw."""
    gaps: int = 0
    repeats: int = 0
    differences: int = 0
    """Documents at the client that are not the server's, in the end."""
    seconds: float = 0.0


class _Shop:
    """The server's application: documents that methods change, and who sees them."""

    def __init__(self, seed: int, subscriptions: int) -> None:
        self.ran: Counter[tuple[int, int]] = Counter()
        self.sessions = 0
        self.fed = 0
        self.documents: dict[str, dict[str, dict[str, Any]]] = {
            f"part{part}": {str(number): {"n": 0} for number in range(_DOCUMENTS)}
            for part in range(subscriptions - 1)
        }
        self._random = Random(seed)
        self._subs: dict[str, set[Subscription]] = {name: set() for name in self.documents}
        self._feeds: set[Subscription] = set()

    async def act(self, context: MethodContext, caller: int, number: int) -> list[int]:
        """Change a document; now at once, now after others have."""
        self.ran[caller, number] += 1
        context.unblock()
        for _ in range(self._random.choice((0, 0, 1, 5))):
            await asyncio.sleep(0.001)
        collection = self._random.choice(list(self.documents))
        document_id = self._random.choice(list(self.documents[collection]))
        document = self.documents[collection][document_id]
        document["n"] += 1
        for sub in self._subs[collection]:
            sub.changed(collection, document_id, document)
        self.fed += 1
        for sub in self._feeds:
            sub.added(_FEED, str(self.fed), {"n": self.fed})
        return [caller, number]

    async def part(self, sub: Subscription, collection: str) -> None:
        for document_id, fields in self.documents[collection].items():
            sub.added(collection, document_id, fields)
        self._subs[collection].add(sub)
        sub.on_stop(lambda: self._subs[collection].discard(sub))
        sub.ready()

    async def feed(self, sub: Subscription) -> None:
        self._feeds.add(sub)
        sub.on_stop(lambda: self._feeds.discard(sub))
        sub.ready()

    def server(self) -> Server:
        def count(_session: object) -> None:
            self.sessions += 1

        return Server(
            {"act": self.act},
            {"part": self.part, "feed": self.feed},
            config=_SERVER,
            strategies={_FEED: Strategy.NO_MERGE_NO_HISTORY},
            on_connection=count,
        )


class _Follower:
    """Watches one collection: each number must follow the one before it."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._last: dict[str, int] = {}

    def document(self, event: str, document_id: str, fields: Mapping[str, Any]) -> None:
        if event != "removed" and "n" in fields:
            self._number(document_id, fields["n"])

    def event(self, event: str, document_id: str, fields: Mapping[str, Any]) -> None:
        if event == "added":
            self._number(_FEED, fields["n"])
        elif event == "changed":
            self._outcome.repeats += 1

    def _number(self, name: str, number: int) -> None:
        self._outcome.told += 1
        last = self._last.get(name, number - 1 if name != _FEED else 0)
        self._outcome.gaps += number > last + 1
        self._outcome.repeats += number <= last
        self._last[name] = number


async def run(drops: int, seed: int, *, callers: int = 20, subscriptions: int = 5) -> Outcome:
    """Call until the link has dropped so often; then let it be, and compare."""
    began = time.monotonic()
    outcome = Outcome(Counter())
    shop = _Shop(seed, subscriptions)
    plans = dropping(seed, _MOST_BYTES, _KINDS)
    enough = asyncio.Event()

    def plan_of(number: int) -> Plan:
        if len(proxy.faults) >= drops:
            enough.set()
        return Plan() if enough.is_set() or number == 0 else plans(number)

    async with _listening(shop.server()) as port:
        proxy = Proxy(port, plan_of)
        async with proxy.listening(), Client(proxy.url, config=_CLIENT) as client:
            await client.connected()
            await _follow(client, shop, outcome)
            proxy.reset_all()  # the first link is whole, so that all that follow have a past
            async with asyncio.TaskGroup() as group:
                for caller in range(callers):
                    group.create_task(_call(client, caller, shop, outcome, enough))
            proxy.reset_all()
            await client.connected()
            outcome.differences = await _differences(client, shop)
    outcome.drops = Counter(kind.value for kind in proxy.faults)
    outcome.sessions = shop.sessions
    outcome.ran = len(shop.ran)
    outcome.twice = sum(times > 1 for times in shop.ran.values())
    outcome.seconds = time.monotonic() - began
    return outcome


@asynccontextmanager
async def _listening(server: Server) -> AsyncIterator[int]:
    async def handle(connection: ServerConnection) -> None:
        await server.serve(WebSocketTransport(connection, 0.2), peer_of(connection))

    async with serve(
        handle, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=0.2
    ) as listener:
        yield listener.sockets[0].getsockname()[1]
        await server.close()


async def _follow(client: Client, shop: _Shop, outcome: Outcome) -> None:
    for name in shop.documents:
        await client.subscribe("part", name).ready()
        client.collection(name).observe(_Follower(outcome).document)
    client.collection(_FEED).observe(_Follower(outcome).event)
    await client.subscribe("feed").ready()


async def _call(
    client: Client, caller: int, shop: _Shop, outcome: Outcome, enough: asyncio.Event
) -> None:
    number = 0
    while not enough.is_set():
        number += 1
        try:
            async with asyncio.timeout(_SETTLED_SECONDS):
                answer = await client.call("act", caller, number)
        except ConnectionLost as lost:
            outcome.lost += 1
            outcome.wrong += not lost.may_have_run and (caller, number) in shop.ran
            await client.connected()
        except TimeoutError:
            outcome.unsettled += 1
        else:
            outcome.answered += 1
            outcome.wrong += answer != [caller, number]


async def _differences(client: Client, shop: _Shop) -> int:
    """How many documents differ, once nothing is under way any more."""

    def differing() -> int:
        return sum(
            client.collection(name).documents.get(document_id) != fields
            for name, documents in shop.documents.items()
            for document_id, fields in documents.items()
        ) + sum(
            len(client.collection(name).documents) - len(documents)
            for name, documents in shop.documents.items()
        )

    try:
        await eventually(lambda: differing() == 0)
    except AssertionError:
        return differing()
    return 0


def main(arguments: list[str]) -> int:
    """Run once, print the outcome, and return whether anything is wrong with it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.cut_links", description=__doc__)
    parser.add_argument("--drops", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--callers", type=int, default=20)
    parser.add_argument("--subscriptions", type=int, default=5)
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    print(f"seed {given.seed}", flush=True)
    outcome = asyncio.run(
        run(given.drops, given.seed, callers=given.callers, subscriptions=given.subscriptions)
    )
    for name, value in msgspec.to_builtins(outcome).items():
        print(f"{name:>12}  {value}")
    return int(bool(faults_of(outcome)))


def faults_of(outcome: Outcome) -> dict[str, int]:
    """What must be zero and is not; no drop lasts as long as the server keeps a session."""
    names = ("lost", "unsettled", "wrong", "twice", "gaps", "repeats", "differences")
    found = {name: getattr(outcome, name) for name in names} | {"begun anew": outcome.sessions - 1}
    return {name: number for name, number in found.items() if number}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

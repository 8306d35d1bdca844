"""A server's session in the hands of a test, without I/O."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.rpc.ddp.events import MethodCalled, Subscribed
from shared.rpc.ddp.handshake import Greeting
from shared.rpc.ddp.merge_box import Strategy
from shared.rpc.ddp.remembered import Remembered
from shared.rpc.ddp.server import ServerConfig, ServerSession
from shared.rpc.ejson import Ejson
from tests.support.texts import only_texts

CONNECT = '{"msg":"connect","version":"1","support":["1","pre2","pre1"]}'
WELCOME = '{"msg":"connected","session":"S1"}'


class Wire:
    """A session with the methods ``echo`` and ``slow``, and two publications."""

    def __init__(
        self,
        version: str = "1",
        strategies: Mapping[str, Strategy] | None = None,
        remembered: Remembered | None = None,
        **config: Any,
    ) -> None:
        self.session = ServerSession(
            "S1",
            version,
            methods={"echo", "slow"},
            publications={"items", "others"},
            ejson=Ejson(),
            config=ServerConfig(**config),
            now=0,
            strategies=strategies,
            remembered=remembered,
        )
        self.received = 0
        """What the client counts: all but pings and pongs."""
        assert self.sent() == [WELCOME]

    def send(self, *texts: str | bytes | dict[str, Any], now: float = 1) -> list[str]:
        for text in texts:
            self.session.receive(json.dumps(text) if isinstance(text, dict) else text, now)
        return self.sent()

    def sent(self) -> list[str]:
        texts = []
        while self.session.has_texts_to_send:
            texts += [text.decode() for text in only_texts(self.session.texts_to_send())]
        self.received += sum('"msg":"p' not in text for text in texts)
        return texts

    def lose(self, *texts: str | bytes | dict[str, Any]) -> None:
        """Send texts, whose answers are lost with the connection."""
        received = self.received
        self.send(*texts)
        self.received = received
        self.session.detach()

    def come_back(self, received: int | None = None, now: float = 2) -> bool:
        """Offer the session again, on a new connection."""
        count = self.received if received is None else received
        return self.session.resume(Greeting(self.session.version, "S1", count), now)

    def call(self, call_id: str = "1", name: str = "echo", params: Sequence[Any] = ()) -> Any:
        self.session.receive(json.dumps(method(call_id, name, *params)), 1)
        (event,) = self.session.events()
        assert isinstance(event, MethodCalled)
        return event

    def subscribe(self, sub_id: str = "s", name: str = "items") -> Subscribed:
        assert self.send({"msg": "sub", "id": sub_id, "name": name}) == []
        (event,) = self.session.events()
        assert isinstance(event, Subscribed)
        self.session.unblock(event)
        return event


def method(call_id: str, name: str = "echo", *params: Any) -> dict[str, Any]:
    return {"msg": "method", "id": call_id, "method": name, "params": params}


def answers(call_id: str, result: str) -> list[str]:
    """The texts that answer a method."""
    updated = f'{{"msg":"updated","methods":["{call_id}"]}}'
    return [updated, f'{{"msg":"result","id":"{call_id}","result":{result}}}']


def complaint(reason: str, offending: str | None = None) -> str:
    tail = "" if offending is None else f',"offendingMessage":{offending}'
    return f'{{"msg":"error","reason":"{reason}"{tail}}}'


def compact(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def wire_error(fields: dict[str, Any]) -> dict[str, Any]:
    """The whole error object: its keys come in exactly this order."""
    return {"isClientSafe": True} | fields | {"errorType": "Meteor.Error"}

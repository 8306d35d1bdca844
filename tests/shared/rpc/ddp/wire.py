"""A client's session in the hands of a test, which is its server."""

import json
from itertools import count
from typing import Any

from shared.rpc.ddp.client import ClientSession, ClientSessionConfig
from shared.rpc.ddp.events import ClientEvent, DocumentEvent, SessionStarted
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from shared.rpc.ejson import Ejson
from tests.support.texts import only_texts

Message = dict[str, Any]


class Wire:
    """A client session, already welcomed to session ``S1`` unless told otherwise."""

    def __init__(self, connected: bool = True, **options: Any) -> None:
        heartbeat = HeartbeatConfig(interval=17.5, timeout=15)
        config = ClientSessionConfig(heartbeat=heartbeat, connect_timeout=10, **options)
        new_id = map("s{}".format, count(1)).__next__
        self.session = ClientSession(ejson=Ejson(), config=config, new_id=new_id)
        self.introduction: Message = {}
        self.events: list[ClientEvent] = []
        self._numbers = count(1)
        if connected:
            self.connect()

    def connect(self, session: str | None = None) -> list[Message]:
        """Open a connection; what is sent after the welcome, to a new session by default."""
        self.session.connection_made(0)
        (self.introduction,) = self.sent()
        self.welcome(session)
        return self.sent()

    def welcome(self, session: str | None = None) -> None:
        name = session or f"S{next(self._numbers)}"
        self.got({"msg": "connected", "session": name})
        assert (
            SessionStarted(name, self.introduction["version"], session is not None) in self.events
        )

    def drop(self) -> list[ClientEvent]:
        self.session.connection_lost()
        return self.session.events()

    def got(self, *messages: Message | str | bytes, now: float = 1) -> list[ClientEvent]:
        for message in messages:
            text = json.dumps(message) if isinstance(message, dict) else message
            self.session.receive(text, now)
        self.events = self.session.events()
        return list(self.events)

    def texts(self) -> list[str]:
        return [text.decode() for text in only_texts(self.session.texts_to_send())]

    def sent(self) -> list[Message]:
        return [json.loads(text) for text in self.texts()]


def ids(messages: list[Message]) -> list[str]:
    return [message["id"] for message in messages if "id" in message]


def result(call_id: str, **fields: Any) -> Message:
    return {"msg": "result", "id": call_id, **fields}


def updated(*call_ids: str) -> Message:
    return {"msg": "updated", "methods": list(call_ids)}


def ready(*subscription_ids: str) -> Message:
    return {"msg": "ready", "subs": list(subscription_ids)}


def document(kind: str, document_id: str = "a", **fields: Any) -> Message:
    return {"msg": kind, "collection": "c", "id": document_id} | fields


def event(kind: str, document_id: Any = "a", **fields: Any) -> DocumentEvent:
    return DocumentEvent(kind, "c", document_id, fields)

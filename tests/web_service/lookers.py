"""Those who look at a feed: the view of a session, without the connection."""

from collections.abc import Callable
from typing import Any

from bson import ObjectId

from shared.rpc.context import Subscription
from shared.rpc.ddp.events import MethodCalled, Subscribed
from shared.rpc.ddp.messages import Added, Changed, NoSub, Ready, Removed, decode_from_server
from shared.rpc.ddp.parcels import Written
from shared.rpc.ddp.view import View
from shared.rpc.ejson import Ejson
from shared.rpc.errors import MethodError
from shared.rpc.object_id import OBJECT_ID
from shared.rpc.session import Session
from shared.rpc.transport import Peer
from tests.support.texts import only_texts

EJSON = Ejson([OBJECT_ID])


class Looker:
    """A session with one subscription, and what it was told."""

    def __init__(self, max_documents: int | None = None) -> None:
        self.session = Session("s", peer=Peer(), user_id=None, close=lambda _code, _reason: None)
        self.texts: list[bytes] = []
        self.on_told: Callable[[], object] = lambda: None
        self.view = View(EJSON, self._tell, max_documents=max_documents)
        self._subscribed = Subscribed("1", "list", [])
        self.view.start(self._subscribed)
        self.sub = Subscription(self, self._subscribed)

    def progress(self, call: MethodCalled, done: float, total: float | None, note: str) -> None:
        raise NotImplementedError

    @property
    def documents(self) -> dict[ObjectId, dict[str, Any]]:
        """What it sees."""
        seen: dict[ObjectId, dict[str, Any]] = {}
        for text in self.texts:
            match decode_from_server(text):
                case Added() as message:
                    assert ObjectId(message.id) not in seen
                    seen[ObjectId(message.id)] = EJSON.loads(bytes(message.fields))  # type: ignore[arg-type]
                case Changed() as message:
                    seen[ObjectId(message.id)] |= EJSON.loads(bytes(message.fields))  # type: ignore[arg-type]
                case Removed() as message:
                    del seen[ObjectId(message.id)]
        return seen

    @property
    def is_ready(self) -> bool:
        return any(isinstance(decode_from_server(text), Ready) for text in self.texts)

    @property
    def is_ended(self) -> bool:
        return any(isinstance(decode_from_server(text), NoSub) for text in self.texts)

    def leave(self) -> None:
        self.end_subscription(self._subscribed, None)

    def _tell(self, text: Written) -> None:
        self.texts += only_texts([text])
        self.on_told()

    # What a subscription needs of its connection

    def end_subscription(self, subscribed: Subscribed, error: MethodError | None) -> None:
        self.view.end(subscribed, error)
        self.sub.stopped()

    def flush_soon(self) -> None:
        pass

    def is_blocking(self, handler: MethodCalled | Subscribed) -> bool:
        raise NotImplementedError

    def unblock(self, handler: MethodCalled | Subscribed) -> None:
        raise NotImplementedError

    def begin_write(self, call: MethodCalled) -> bool:
        raise NotImplementedError

    def end_write(self, call: MethodCalled) -> None:
        raise NotImplementedError

    async def set_user_id(self, user_id: str | None) -> None:
        raise NotImplementedError

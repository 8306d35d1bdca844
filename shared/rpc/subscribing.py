"""What a client's application holds: its subscriptions and its collections."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from shared.rpc.ddp.client import ClientSession
from shared.rpc.ddp.events import DocumentEvent, SubscriptionEnded, SubscriptionReady
from shared.rpc.ddp.random_stream import ID_ALPHABET

log = structlog.get_logger()

Observer = Callable[[str, Any, Mapping[str, Any]], object]
"""``observer(event, id, fields)`` with ``added``, ``changed`` or ``removed``.

Of a changed document, ``fields`` holds what is new; a cleared field is ``UNDEFINED``.
"""


class Handle:
    """One subscription of a client, over all its connections."""

    def __init__(self, name: str, stop: Callable[[], None]) -> None:
        self.name = name
        self.is_ready = False
        """Whether its first batch has arrived."""
        self.is_ended = False
        self.error: Exception | None = None
        """Why it ended, if that was an error."""
        self._stop = stop
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    async def ready(self) -> None:
        """Wait until the first batch of documents has arrived.

        Raises:
            MethodError: the server refused it, or ended it with an error.
            ConnectionLost: the client was closed.
        """
        await self._changed.wait()
        if self.error is not None:
            raise self.error

    async def stop(self) -> None:
        """End it, and wait until the server has agreed. Legal more than once."""
        if not self.is_ended:
            self._stop()
        await self._ended.wait()

    def became_ready(self) -> None:
        """Its first batch has arrived; called by the client."""
        self.is_ready = True
        self._changed.set()

    def ended(self, error: Exception | None) -> None:
        """It has ended; called by the client."""
        self.is_ended = True
        self.error = error
        self._changed.set()
        self._ended.set()


class Collection:
    """The documents of one collection that the server has sent to a client."""

    def __init__(
        self,
        name: str,
        documents: Mapping[Any, Mapping[str, Any]],
        observers: list[Observer],
    ) -> None:
        self.name = name
        self.documents = documents
        """By id; it follows every change."""
        self._observers = observers

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Have ``observer`` called on every change; returns what ends that."""
        self._observers.append(observer)

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self._observers.remove(observer)

        return stop


class Subscribing:
    """The handles and collections that a client has given out, and what they are told."""

    def __init__(self, protocol: ClientSession, on_change: Callable[[], None]) -> None:
        """``on_change`` has the protocol's texts sent, and its events acted on."""
        self._protocol = protocol
        self._on_change = on_change
        self._handles: dict[str, Handle] = {}
        self._observers: dict[str, list[Observer]] = {}

    def subscribe(self, name: str, params: Sequence[Any]) -> Handle:
        """A new subscription."""
        subscription_id = self._protocol.subscribe(name, params)

        def stop() -> None:
            self._protocol.unsubscribe(subscription_id)
            self._on_change()

        handle = self._handles[subscription_id] = Handle(name, stop)
        self._on_change()
        return handle

    def collection(self, name: str) -> Collection:
        """The documents of a collection, and its observers."""
        observers = self._observers.setdefault(name, [])
        return Collection(name, self._protocol.documents(name), observers)

    def act(self, event: DocumentEvent | SubscriptionReady | SubscriptionEnded) -> None:
        """Tell whom it concerns."""
        match event:
            case DocumentEvent():
                for observer in tuple(self._observers.get(event.collection, ())):
                    try:
                        observer(event.kind, event.id, event.fields)
                    except Exception:
                        log.exception("rpc.observer_failed", collection=event.collection)
            case SubscriptionReady():
                if (handle := self._handles.get(event.id)) is not None:
                    handle.became_ready()
            case SubscriptionEnded():
                if (handle := self._handles.pop(event.id, None)) is not None:
                    handle.ended(event.error)

    def end(self, error: Exception) -> None:
        """There will be no more of any of them."""
        for handle in self._handles.values():
            handle.ended(error)
        self._handles.clear()


def random_id() -> str:
    """As Meteor's ``Random.id``: 17 characters that nobody mistakes for one another."""
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(17))

"""What a client's application holds: its subscriptions and its collections."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

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
        return lambda: self._observers.remove(observer)

"""What methods and publications are handed: whose call this is, and what to publish to."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

from shared.rpc.ddp.document import Document
from shared.rpc.ddp.events import MethodCalled, Subscribed
from shared.rpc.ddp.random_stream import RandomStream, RandomStreams
from shared.rpc.ddp.view import View
from shared.rpc.errors import MethodError
from shared.rpc.session import Session, call_back, told


class Host(Protocol):
    """The connection that a handler runs on."""

    @property
    def session(self) -> Session: ...
    @property
    def view(self) -> View: ...
    def is_blocking(self, handler: MethodCalled | Subscribed) -> bool: ...
    def unblock(self, handler: MethodCalled | Subscribed) -> None: ...
    def flush_soon(self) -> None: ...
    def progress(self, call: MethodCalled, done: float, total: float | None, note: str) -> None: ...
    def begin_write(self, call: MethodCalled) -> bool: ...
    def end_write(self, call: MethodCalled) -> None: ...
    def end_subscription(self, subscribed: Subscribed, error: MethodError | None) -> None: ...
    async def set_user_id(self, user_id: str | None) -> None: ...


class MethodContext:
    """The first argument of every method: whose call this is."""

    __slots__ = ("_call", "_host", "_streams", "session")

    def __init__(self, host: Host, call: MethodCalled) -> None:
        self._streams: RandomStreams | None = None
        self._host = host
        self._call = call
        self.session = host.session

    @property
    def user_id(self) -> str | None:
        """Who is logged in on this session."""
        return self.session.user_id

    @property
    def random_seed(self) -> str | None:
        """The seed for ids that client and server make up alike, if the client sent one."""
        return self._call.random_seed

    @property
    def call_id(self) -> str:
        """The client's name for this call."""
        return self._call.id

    @property
    def deadline(self) -> float | None:
        """Until when the caller waits, in the loop's time; then this method is cancelled."""
        return self._call.deadline

    @property
    def is_cancellable(self) -> bool:
        """Whether the client's version has words for deadlines, cancel and progress."""
        return self._call.is_cancellable

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Tell the caller how far this is; nothing where the version has no words for it."""
        self._host.progress(self._call, done, total, note)

    def random_stream(self, name: str = "default") -> RandomStream:
        """Ids that the client's simulation of this call makes up alike.

        Each name has its own stream; ``/collection/NAME`` is for the ids of documents.
        Without a seed from the client, they can't be foretold.
        """
        if self._streams is None:
            self._streams = RandomStreams(self._call.random_seed or secrets.token_hex(10))
        return self._streams.stream(name)

    def unblock(self) -> None:
        """Let the session's next message begin before this method has ended. Idempotent."""
        self._host.unblock(self._call)

    def begin_write(self) -> "Write":
        """Say that a change of this method is on its way to those who see its documents.

        The caller is told ``updated`` only when the method has ended and every such write
        is committed; without any, just before the result. Too late, it does nothing.
        """
        return Write(self._host, self._call)

    async def set_user_id(self, user_id: str | None) -> None:
        """Log somebody in, or out with None: every subscription starts anew for them.

        The client is sent only what is different then.

        Raises:
            RuntimeError: this method has called ``unblock``, so others may be running.
        """
        if not self._host.is_blocking(self._call):
            raise RuntimeError("a method can't set the user after it called unblock")
        await self._host.set_user_id(user_id)


class Write:
    """A write whose changes are not published yet; also a context manager around it."""

    __slots__ = ("_call", "_host", "_is_pending")

    def __init__(self, host: Host, call: MethodCalled) -> None:
        self._host = host
        self._call = call
        self._is_pending = host.begin_write(call)

    def committed(self) -> None:
        """All who see its documents have been told. Idempotent."""
        if self._is_pending:
            self._is_pending = False
            self._host.end_write(self._call)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.committed()


class Subscription:
    """The first argument of every publication: what it publishes to, until it is stopped.

    The handler may return while others go on publishing; or it calls :meth:`unblock` and
    stays, and is cancelled when the subscription ends. After the end, all is ignored.
    """

    __slots__ = ("_host", "_is_stopped", "_on_stop", "_subscribed", "session", "user_id")

    def __init__(self, host: Host, subscribed: Subscribed) -> None:
        self._host = host
        self._subscribed = subscribed
        self._on_stop: list[Callable[[], object]] = []
        self._is_stopped = False
        self.session = host.session
        self.user_id = host.session.user_id
        """Who was logged in when it started; for another user, another one is started."""

    def added(self, collection: str, document_id: Any, fields: Mapping[str, Any]) -> None:
        """Publish a document. One too many for its session ends the subscription.

        A :class:`Document` that many sessions see is held, and encoded, once for all.

        Raises:
            EjsonError: the id or a field can't be written.
        """
        try:
            self._host.view.added(self._subscribed, collection, document_id, fields)
        except MethodError as error:
            self.error(error)
        self._host.flush_soon()

    def changed(self, collection: str, document_id: Any, fields: Mapping[str, Any]) -> None:
        """Change fields of a published document; the value ``UNDEFINED`` clears one.

        Raises:
            LookupError: this subscription did not publish it.
            EjsonError: a field can't be written.
        """
        self._host.view.changed(self._subscribed, collection, document_id, fields)
        self._host.flush_soon()

    def replaced(self, collection: str, document_id: Any, document: Document) -> None:
        """Publish another version of a document; fields that are not in it are cleared.

        Raises:
            LookupError: this subscription did not publish it.
            EjsonError: a field can't be written.
        """
        self._host.view.replaced(self._subscribed, collection, document_id, document)
        self._host.flush_soon()

    def removed(self, collection: str, document_id: Any) -> None:
        """Take back a document.

        Raises:
            LookupError: this subscription did not publish it.
        """
        self._host.view.removed(self._subscribed, collection, document_id)
        self._host.flush_soon()

    def ready(self) -> None:
        """Say that the first batch is complete."""
        self._host.view.ready(self._subscribed)
        self._host.flush_soon()

    def stop(self) -> None:
        """End it; the client is told that this is in order."""
        self._host.end_subscription(self._subscribed, None)

    def error(self, error: Exception) -> None:
        """End it because of an error, of which the client sees only a ``MethodError``."""
        if not self._is_stopped:
            name = self._subscribed.name or "universal"
            shown = told(error, "rpc.publication_failed", publication=name)
            self._host.end_subscription(self._subscribed, shown)

    def unblock(self) -> None:
        """Let the session's next message begin before this handler has ended. Idempotent."""
        self._host.unblock(self._subscribed)

    def on_stop(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called when it ends; at once, if it has ended."""
        if self._is_stopped:
            call_back(callback)
        else:
            self._on_stop.append(callback)

    def stopped(self) -> None:
        """It has ended; called once, by the server."""
        self._is_stopped = True
        callbacks, self._on_stop = self._on_stop, []
        for callback in callbacks:
            call_back(callback)

"""What a client asks for: its methods, its subscriptions and their ends, one after the other.

They form one queue, as in Meteor: the next one begins when the handler before it has ended or
was unblocked. What is over a limit is refused at once.
"""

from collections.abc import Callable, Container
from typing import Any

from msgspec import UNSET, Raw

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.answers import Answers, failed
from shared.rpc.ddp.complaints import MALFORMED, complaint
from shared.rpc.ddp.config import ServerConfig
from shared.rpc.ddp.events import MethodCalled, ServerEvent, Subscribed, Unsubscribed
from shared.rpc.ddp.queue import Entry, Queue, QueuedMethod, Refusal
from shared.rpc.ddp.view import View
from shared.rpc.ejson import UNDEFINED, Ejson
from shared.rpc.errors import EjsonError, MethodError

_BUSY_RETRY_MS = 1000


class Requests:
    """Lets requests begin in their turn, and answers them."""

    __slots__ = (
        *("_blocking", "_config", "_ejson", "_event", "_methods", "_publications", "_queue"),
        *("_send", "_view", "answers"),
    )

    def __init__(
        self,
        *,
        methods: Container[str],
        publications: Container[str],
        ejson: Ejson,
        config: ServerConfig,
        answers: Answers,
        view: View,
        send: Callable[..., None],
        event: Callable[[ServerEvent], None],
    ) -> None:
        self._methods = methods
        self._publications = publications
        self._ejson = ejson
        self._config = config
        self.answers = answers
        self._view = view
        self._send = send
        self._event = event
        self._queue = Queue(config.max_queued_bytes)
        self._blocking: MethodCalled | Subscribed | None = None

    def take(self, message: m.Method | m.Sub | m.Unsub, text: str | bytes) -> bool:
        """Take in a request; False when more wait than a client may ever have waiting."""
        if isinstance(message, m.Unsub):
            return self._enqueue(message, text)
        kind = "method" if isinstance(message, m.Method) else "sub"
        params = m.EMPTY_PARAMS if message.params is UNSET else bytes(message.params)
        if not params.startswith(b"["):
            return self.refuse(MALFORMED[kind], text)
        if isinstance(message, m.Method):
            return self._take_method(message, params, text)
        if self._has_room(text):
            return self._enqueue(message, text)
        self._send(m.encode(m.NoSub(message.id, m.encode_error(_busy()))))
        return True

    def refuse(self, reason: str, text: str | bytes) -> bool:
        """Complain about a text when its turn comes; as :meth:`take`."""
        return self._enqueue(Refusal(complaint(reason, text)), text)

    def refuse_at_once(self, message: m.Method | m.Sub, error: MethodError) -> None:
        """Answer a request with an error, whatever is before it in the queue."""
        if isinstance(message, m.Method):
            self._send(*failed(message.id, error))
        else:
            self._send(m.encode(m.NoSub(message.id, m.encode_error(error))))

    def method_done(self, call: MethodCalled, result: Any) -> None:
        """Answer a method; a result of ``UNDEFINED`` is none.

        Raises:
            EjsonError: the result can't be written; the method is not answered yet.
        """
        raw = UNSET if result is UNDEFINED else Raw(self._ejson.dumps(result))
        self.answers.answer(m.Result(call.id, result=raw))
        self.unblock(call)

    def method_failed(self, call: MethodCalled, error: MethodError) -> None:
        """Answer a method with an error."""
        self.answers.answer(m.Result(call.id, error=m.encode_error(error)))
        self.unblock(call)

    def is_blocking(self, handler: MethodCalled | Subscribed) -> bool:
        """Whether the queue waits for this handler."""
        return self._blocking is handler

    def unblock(self, handler: MethodCalled | Subscribed) -> None:
        """Let the next of the queue begin: this handler has ended, or allows it."""
        if self._blocking is handler:
            self._blocking = None
            self._advance()

    def clear(self) -> None:
        """Let nothing more begin."""
        self._queue.clear()

    # Inside

    def _take_method(self, message: m.Method, params: bytes, text: str | bytes) -> bool:
        fingerprint = hash((message.method, params))
        if self.answers.repeat(message.id, fingerprint):
            return True
        if self.answers.outstanding >= self._config.max_methods or not self._has_room(text):
            self.refuse_at_once(message, _busy())
            return True
        self.answers.expect(message.id, fingerprint)
        seed = None if message.random_seed is UNSET else message.random_seed
        return self._enqueue(QueuedMethod(message.id, message.method, params, seed), text)

    def _has_room(self, text: str | bytes) -> bool:
        return self._blocking is None or self._queue.has_room(len(text))

    def _enqueue(self, entry: Entry, text: str | bytes) -> bool:
        if self._blocking is not None:
            return self._queue.put(entry, len(text))
        self._begin(entry)
        return True

    def _advance(self) -> None:
        while self._blocking is None and self._queue:
            self._begin(self._queue.pop())

    def _begin(self, entry: Entry) -> None:
        match entry:
            case QueuedMethod():
                self._begin_method(entry)
            case m.Sub():
                self._begin_subscription(entry)
            case m.Unsub():
                self._end_subscription(entry)
            case Refusal():
                self._send(entry.text)

    def _begin_method(self, method: QueuedMethod) -> None:
        if method.name not in self._methods:
            times = self.answers.drop(method.id)
            updated, result = failed(
                method.id, MethodError(404, f"Method '{method.name}' not found")
            )
            self._send(*(result, updated) * times)  # Meteor's order for this one case
            return
        try:
            params = self._ejson.loads(method.params)
        except EjsonError as error:
            failure = m.encode_error(_bad_params(error))
            self.answers.answer(m.Result(method.id, error=failure))
            return
        self._blocking = MethodCalled(method.id, method.name, params, method.random_seed)
        self.answers.begin(self._blocking)
        self._event(self._blocking)

    def _begin_subscription(self, message: m.Sub) -> None:
        if self._view.find(message.id) is not None and message.name in self._publications:
            return
        try:
            subscribed = self._checked(message)
        except MethodError as error:
            self.refuse_at_once(message, error)
            return
        self._blocking = subscribed
        self._view.start(subscribed)
        self._event(subscribed)

    def _checked(self, message: m.Sub) -> Subscribed:
        if message.name not in self._publications:
            raise MethodError(404, f"Subscription '{message.name}' not found")
        most = self._config.max_subscriptions
        if self._view.subscription_count >= most:
            raise MethodError("too-many-subscriptions", f"There can be {most} at a time.")
        try:
            params = [] if message.params is UNSET else self._ejson.loads(bytes(message.params))
        except EjsonError as error:
            raise _bad_params(error) from None
        return Subscribed(message.id, message.name, params)

    def _end_subscription(self, message: m.Unsub) -> None:
        subscription = self._view.find(message.id)
        if subscription is None:
            self._send(m.encode(m.NoSub(message.id)))
        else:
            self._event(Unsubscribed(subscription))
            self._view.end(subscription)


def _busy() -> MethodError:
    details = {"retryAfterMs": _BUSY_RETRY_MS}
    return MethodError("busy", "Too many requests of this session are waiting already.", details)


def _bad_params(error: EjsonError) -> MethodError:
    return MethodError(400, "Malformed EJSON", str(error))

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
from shared.rpc.ddp.events import (
    MethodCalled,
    MethodStopped,
    ServerEvent,
    Subscribed,
    Unsubscribed,
)
from shared.rpc.ddp.queue import Beside, Entry, Queue, QueuedMethod, QueuedSub, Refusal
from shared.rpc.ddp.view import View
from shared.rpc.ejson import UNDEFINED, Ejson
from shared.rpc.errors import EjsonError, MethodError

_BUSY_RETRY_MS = 1000


class Requests:
    """Lets requests begin in their turn, and answers them."""

    __slots__ = (
        *("_blocking", "_config", "_ejson", "_event", "_methods", "_publications", "_queue"),
        *("_send", "_view", "answers", "check_blobs", "on_refused_sub"),
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
        self.check_blobs: Callable[[list[bytes]], None] | None = None
        """Called with those of each result, and may raise; None: bytes travel in the texts."""
        self.on_refused_sub: Callable[[str], None] | None = None
        """Called with the id of each subscription that comes to nothing."""

    def take(
        self, message: m.Method | m.Sub | m.Unsub, text: str | bytes, beside: Beside | None = None
    ) -> bool:
        """Take in a request; False when more wait than a client may ever have waiting."""
        if isinstance(message, m.Unsub):
            return self._enqueue(message, text)
        kind = "method" if isinstance(message, m.Method) else "sub"
        params = m.EMPTY_PARAMS if message.params is UNSET else bytes(message.params)
        if not params.startswith(b"["):
            return self.refuse(MALFORMED[kind], text)
        if isinstance(message, m.Method):
            return self._take_method(message, params, text, beside)
        if self._has_room(text):
            return self._enqueue(QueuedSub(message.id, message.name, params, beside), text)
        self.refuse_at_once(message, _busy())
        return True

    def refuse(self, reason: str, text: str | bytes) -> bool:
        """Complain about a text when its turn comes; as :meth:`take`."""
        return self._enqueue(Refusal(complaint(reason, text)), text)

    def refuse_at_once(self, message: m.Method | m.Sub, error: MethodError) -> None:
        """Answer a request with an error, whatever is before it in the queue."""
        if isinstance(message, m.Method):
            self._send(*failed(message.id, error))
        else:
            self._refuse_sub(message.id, error)

    def method_done(self, call: MethodCalled, result: Any) -> None:
        """Answer a method; a result of ``UNDEFINED`` is none.

        Raises:
            EjsonError: the result can't be written; the method is not answered yet.
            MethodError: nor can it be sent.
        """
        blobs: list[bytes] | None = None if self.check_blobs is None else []
        raw = UNSET if result is UNDEFINED else Raw(self._ejson.dumps(result, blobs))
        if blobs and self.check_blobs is not None:
            self.check_blobs(blobs)
        self.answers.answer(m.Result(call.id, result=raw), blobs)
        self.unblock(call)

    def method_failed(self, call: MethodCalled, error: MethodError) -> None:
        """Answer a method with an error."""
        self.answers.answer(m.Result(call.id, error=m.encode_error(error)))
        self.unblock(call)

    def stop(self, method_id: str, error: MethodError) -> None:
        """Have a method end with an error, if it has not ended: see to it that it does."""
        if self._queue.remove_method(method_id):
            self.answers.answer(m.Result(method_id, error=m.encode_error(error)))
        elif (call := self.answers.running(method_id)) is not None:
            self._event(MethodStopped(call, error))

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

    def _take_method(
        self, message: m.Method, params: bytes, text: str | bytes, beside: Beside | None
    ) -> bool:
        fingerprint = _fingerprint(message.method, params, beside)
        if self.answers.repeat(message.id, fingerprint):
            return True
        if self.answers.outstanding >= self._config.max_methods or not self._has_room(text):
            self.refuse_at_once(message, _busy())
            return True
        self.answers.expect(message.id, fingerprint)
        seed = None if message.random_seed is UNSET else message.random_seed
        entry = QueuedMethod(message.id, message.method, params, seed, beside)
        return self._enqueue(entry, text)

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
            case QueuedSub():
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
        beside = method.beside
        try:
            params = self._ejson.loads(method.params, None if beside is None else beside.blobs)
        except EjsonError as error:
            failure = m.encode_error(_bad_params(error))
            self.answers.answer(m.Result(method.id, error=failure))
            return
        if beside is None:
            call = MethodCalled(method.id, method.name, params, method.random_seed)
        else:
            call = MethodCalled(
                method.id,
                method.name,
                params,
                method.random_seed,
                is_cancellable=True,
                deadline=beside.deadline,
                traceparent=beside.traceparent,
            )
        self._blocking = call
        self.answers.begin(call)
        self._event(call)

    def _begin_subscription(self, sub: QueuedSub) -> None:
        if self._view.find(sub.id) is not None and sub.name in self._publications:
            return
        try:
            subscribed = self._checked(sub)
        except MethodError as error:
            self._refuse_sub(sub.id, error)
            return
        self._blocking = subscribed
        self._view.start(subscribed)
        self._event(subscribed)

    def _checked(self, sub: QueuedSub) -> Subscribed:
        if sub.name not in self._publications:
            raise MethodError(404, f"Subscription '{sub.name}' not found")
        most = self._config.max_subscriptions
        if self._view.subscription_count >= most:
            raise MethodError("too-many-subscriptions", f"There can be {most} at a time.")
        try:
            blobs = None if sub.beside is None else sub.beside.blobs
            params = self._ejson.loads(sub.params, blobs)
        except EjsonError as error:
            raise _bad_params(error) from None
        return Subscribed(sub.id, sub.name, params)

    def _refuse_sub(self, sub_id: str, error: MethodError) -> None:
        self._send(m.encode(m.NoSub(sub_id, m.encode_error(error))))
        if self.on_refused_sub is not None:
            self.on_refused_sub(sub_id)

    def _end_subscription(self, message: m.Unsub) -> None:
        subscription = self._view.find(message.id)
        if subscription is None:
            self._send(m.encode(m.NoSub(message.id)))
        else:
            self._event(Unsubscribed(subscription))
            self._view.end(subscription)


def _fingerprint(name: str, params: bytes, beside: Beside | None) -> int:
    if beside is None or not beside.blobs:
        return hash((name, params))
    return hash((name, params, *((len(blob), blob[:1024]) for blob in beside.blobs)))


def _busy() -> MethodError:
    details = {"retryAfterMs": _BUSY_RETRY_MS}
    return MethodError("busy", "Too many requests of this session are waiting already.", details)


def _bad_params(error: EjsonError) -> MethodError:
    return MethodError(400, "Malformed EJSON", str(error))

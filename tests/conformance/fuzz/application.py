"""The application of a server's session in target ``server``: its handlers, and what they do.

Each step is one thing that a handler can do at any time, also when its session has ended.
"""

from typing import Any, Final

from shared.rpc.ddp.document import Document
from shared.rpc.ddp.events import MethodCalled, Subscribed, Unsubscribed
from shared.rpc.ddp.merge_box import Strategy
from shared.rpc.ddp.server import ServerSession
from shared.rpc.errors import EjsonError, MethodError
from tests.conformance.fuzz.runs import Runs
from tests.conformance.fuzz.script import DOCUMENT_IDS, VALUES, Step
from tests.conformance.fuzz.view_model import Published

METHODS: Final = frozenset({"echo", "slow"})
PUBLICATIONS: Final = frozenset({"items", "others"})
STRATEGIES: Final = {
    "multi": Strategy.NO_MERGE_MULTI,
    "plain": Strategy.NO_MERGE,
    "events": Strategy.NO_MERGE_NO_HISTORY,
}
MAX_DOCUMENTS: Final = 7
MAX_SUBSCRIPTIONS: Final = 4
_COLLECTIONS: Final = ("merged", "merged too", *STRATEGIES)


class Application:
    """What runs for one session."""

    def __init__(self, session: ServerSession, runs: Runs) -> None:
        self.published = Published()
        self.is_rerunning = False
        self._session = session
        self._runs = runs
        self._is_over = False
        self._calls: list[MethodCalled] = []
        self._writes: list[MethodCalled] = []
        self._subs: list[Subscribed] = []
        self._publishers: list[Subscribed] = []  # may go on when their subscription has ended

    def act(self, event: MethodCalled | Subscribed | Unsubscribed) -> None:
        match event:
            case MethodCalled():
                assert event.name in METHODS
                self._runs.begins(self._session.id, event.id, event.name)
                self._calls.append(event)
            case Subscribed():
                assert event.name is None or event.name in PUBLICATIONS
                self._subs.append(event)
                self._publishers.append(event)
                assert sum(sub.name is not None for sub in self._subs) <= MAX_SUBSCRIPTIONS
            case Unsubscribed():
                self._left(event.subscription)

    def session_ended(self) -> None:
        """From now on, nothing that the handlers do has an effect."""
        self._is_over = True
        self._runs.session_ends()

    @property
    def is_busy(self) -> bool:
        """Whether anything has begun and not ended."""
        return bool(self.is_rerunning or self._calls or self._writes or self._publishers)

    def finish(self) -> None:
        """One more of each kind ends."""
        step = Step(b"")
        for end in (self.end_rerun, self.let_return, self.end_write, self.end_publisher):
            end(step)

    # Steps

    def let_return(self, step: Step) -> None:
        if self._calls:
            call = self._end_one(step)
            try:
                self._session.method_done(call, step.one_of(VALUES))
            except EjsonError as error:
                self._session.method_failed(call, MethodError(500, "unwritable", str(error)))

    def let_fail(self, step: Step) -> None:
        if self._calls:
            call = self._end_one(step)
            self._session.method_failed(call, MethodError("bad", "why", [step.one_of(VALUES)]))

    def unblock(self, step: Step) -> None:
        handlers: list[MethodCalled | Subscribed] = [*self._calls, *self._publishers]
        if handlers:
            self._session.unblock(step.one_of(handlers))

    def begin_write(self, step: Step) -> None:
        if self._calls:
            call = step.one_of(self._calls)
            if self._session.begin_write(call):
                self._writes.append(call)

    def end_write(self, step: Step) -> None:
        if self._writes:
            self._session.end_write(self._writes.pop(step.number() % len(self._writes)))

    def end_publisher(self, step: Step) -> None:
        if self._publishers:
            self._session.unblock(self._publishers.pop(step.number() % len(self._publishers)))

    def publish(self, step: Step) -> None:
        self._change("added", step)

    def change(self, step: Step) -> None:
        self._change("changed", step)

    def replace(self, step: Step) -> None:
        self._change("replaced", step)

    def take_back(self, step: Step) -> None:
        self._change("removed", step)

    def ready(self, step: Step) -> None:
        if self._subs:
            self._session.view.ready(step.one_of(self._subs))

    def stop(self, step: Step) -> None:
        if self._subs:
            sub = step.one_of(self._subs)
            error = MethodError("stopped") if step.number() % 2 else None
            self._session.view.end(sub, error)
            self._left(sub)

    def start_universal(self, step: Step) -> None:
        if not any(sub.name is None for sub in self._subs):
            self._session.start_universal("u0")

    def begin_rerun(self, step: Step) -> None:
        if not self._is_over:
            self.published.clear()
            self._subs = self._session.view.begin_rerun()
            self._publishers += self._subs
            self.is_rerunning = True

    def end_rerun(self, step: Step) -> None:
        if self.is_rerunning:
            self.is_rerunning = False
            self._session.view.end_rerun()

    # Inside

    def _end_one(self, step: Step) -> MethodCalled:
        call = self._calls.pop(step.number() % len(self._calls))
        if not self._is_over:
            self._runs.ends(call.id)
        return call

    def _left(self, sub: Subscribed) -> None:
        if sub in self._subs:
            self._subs.remove(sub)
            self.published.left(sub)

    def _change(self, kind: str, step: Step) -> None:
        if not self._subs or self._is_over:
            return
        sub, collection = step.one_of(self._subs), step.one_of(_COLLECTIONS)
        document_id = step.one_of(DOCUMENT_IDS)
        fields: dict[str, Any] | Document = step.fields()
        if kind == "replaced" or (kind == "added" and step.number() % 2):
            fields = Document(fields)
        more = [] if kind == "removed" else [fields]
        published = self.published
        held = published.has(sub, collection, document_id)
        try:
            getattr(self._session.view, kind)(sub, collection, document_id, *more)
        except EjsonError:
            assert VALUES[-1] in fields.values()
        except LookupError:
            assert kind != "added"
            assert not held
        except MethodError as error:
            assert (kind, error.error) == ("added", "too-many-documents")
            assert not held
            assert published.held == MAX_DOCUMENTS
        else:
            if collection != "events" and (kind == "added" or held):
                getattr(published, kind)(sub, collection, document_id, *more)
            assert published.held <= MAX_DOCUMENTS

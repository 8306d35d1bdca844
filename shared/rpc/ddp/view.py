"""What one client sees: its subscriptions, and the documents that they publish to it."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.changes import Change
from shared.rpc.ddp.document import Document
from shared.rpc.ddp.events import Subscribed
from shared.rpc.ddp.ids import DocumentIds
from shared.rpc.ddp.merge_box import MergeBox, Strategy
from shared.rpc.ddp.parcels import Written
from shared.rpc.ejson import Ejson
from shared.rpc.errors import MethodError


class View:
    """Publishes documents to one client, and tells it only what is new to it.

    Everything about a subscription that has ended, or was replaced, is ignored: its
    publisher may not have noticed yet.
    """

    __slots__ = (
        *("_before_rerun", "_box", "_ejson", "_held_ends", "_ids", "_max_documents", "_ready"),
        *("_send", "_strategies", "_subscriptions", "_universal", "has_blobs", "on_end"),
    )

    def __init__(
        self,
        ejson: Ejson,
        send: Callable[[Written], None],
        strategies: Mapping[str, Strategy] | None = None,
        max_documents: int | None = None,
    ) -> None:
        self._ejson = ejson
        self._ids = DocumentIds(ejson)
        self._send = send
        self._subscriptions: dict[str, Subscribed] = {}
        self._universal: dict[str, Subscribed] = {}
        self._ready: set[str] = set()
        self._strategies = strategies or {}
        self._max_documents = max_documents
        self._box = MergeBox(self._strategies, max_documents=max_documents)
        self._before_rerun: MergeBox | None = None
        self._held_ends: list[bytes] = []
        self.has_blobs = False
        """Whether bytes travel beside the texts."""
        self.on_end: Callable[[str], None] | None = None
        """Called with the id of each subscription that has ended."""

    def find(self, subscription_id: str) -> Subscribed | None:
        """The client's live subscription of that id."""
        return self._subscriptions.get(subscription_id)

    @property
    def subscription_count(self) -> int:
        """How many subscriptions of the client's are live."""
        return len(self._subscriptions)

    def start(self, subscription: Subscribed) -> None:
        """A new subscription; its id must not be in use."""
        self._table_of(subscription)[subscription.id] = subscription

    def added(
        self, subscription: Subscribed, collection: str, document_id: Any, fields: Mapping[str, Any]
    ) -> None:
        """Publish a document.

        Raises:
            EjsonError: the id or a field can't be written; nothing was published.
            MethodError: ``too-many-documents``; nothing was published.
        """
        if self.is_live(subscription):
            wire_id = self._checked(collection, document_id, fields)
            self._tell(self._box.added(subscription, collection, wire_id, fields))

    def changed(
        self, subscription: Subscribed, collection: str, document_id: Any, fields: Mapping[str, Any]
    ) -> None:
        """Change fields of a published document; the value ``UNDEFINED`` clears one.

        Raises:
            LookupError: this subscription did not publish the document.
            EjsonError: a field can't be written; nothing was changed.
        """
        if self.is_live(subscription):
            wire_id = self._checked(collection, document_id, fields)
            self._tell(self._box.changed(subscription, collection, wire_id, fields))

    def replaced(
        self, subscription: Subscribed, collection: str, document_id: Any, document: Document
    ) -> None:
        """Publish another version of a document; fields that are not in it are cleared.

        Raises:
            LookupError: this subscription did not publish the document.
            EjsonError: a field can't be written; nothing was changed.
        """
        if self.is_live(subscription):
            wire_id = self._checked(collection, document_id, document)
            self._tell(self._box.replaced(subscription, collection, wire_id, document))

    def removed(self, subscription: Subscribed, collection: str, document_id: Any) -> None:
        """Take back a document.

        Raises:
            LookupError: this subscription did not publish the document.
        """
        if self.is_live(subscription):
            wire_id = self._ids.to_wire(document_id)
            self._tell(self._box.removed(subscription, collection, wire_id))

    def ready(self, subscription: Subscribed) -> None:
        """Say that the first batch is complete; only the first time counts."""
        if subscription.name is None or not self.is_live(subscription):
            return  # nobody asked for a universal one, so nobody waits
        if subscription.id not in self._ready:
            self._ready.add(subscription.id)
            if self._before_rerun is None:
                self._send(m.encode(m.Ready([subscription.id])))

    def end(self, subscription: Subscribed, error: MethodError | None = None) -> None:
        """End a subscription: take back what only it published, then say so."""
        if not self.is_live(subscription):
            return
        del self._table_of(subscription)[subscription.id]
        for change in self._box.leave(subscription):
            self._tell(change)
        if subscription.name is None:
            return
        if self.on_end is not None:
            self.on_end(subscription.id)
        self._ready.discard(subscription.id)
        text = m.encode(m.NoSub(subscription.id, UNSET if error is None else m.encode_error(error)))
        if self._before_rerun is None:
            self._send(text)
        else:  # the removals are still to come, and nosub must not overtake them
            self._held_ends.append(text)

    def begin_rerun(self) -> list[Subscribed]:
        """Begin anew for another user: every subscription is replaced by a fresh one.

        Nothing is sent until :meth:`end_rerun`, which then sends only what is different.
        Returns the new subscriptions, in their old order, the universal ones last.
        """
        if self._before_rerun is None:
            self._before_rerun = self._box
        self._box = MergeBox(self._strategies, max_documents=self._max_documents, is_rerun=True)
        self._ready.clear()
        self._subscriptions = _fresh(self._subscriptions)
        self._universal = _fresh(self._universal)
        return [*self._subscriptions.values(), *self._universal.values()]

    def end_rerun(self) -> None:
        """Send the difference that the rerun made, then who has ended and who is ready."""
        before, self._before_rerun = self._before_rerun, None
        if before is None:
            return
        for change in self._box.changes_since(before):
            self._send(self._written(change))
        for text in self._held_ends:
            self._send(text)
        self._held_ends = []
        ready = [name for name in self._subscriptions if name in self._ready]
        if ready:
            self._send(m.encode(m.Ready(ready)))

    def clear(self) -> None:
        """The session is over: every subscription ends, and nothing is said."""
        self._subscriptions.clear()
        self._universal.clear()
        self._before_rerun = None
        self._box = MergeBox()

    def is_live(self, subscription: Subscribed) -> bool:
        """Whether a subscription has neither ended nor been replaced."""
        return self._table_of(subscription).get(subscription.id) is subscription

    def _table_of(self, subscription: Subscribed) -> dict[str, Subscribed]:
        return self._universal if subscription.name is None else self._subscriptions

    def _checked(self, collection: str, document_id: Any, fields: Mapping[str, Any]) -> str:
        """The id on the wire; refuses fields now that could not be written later."""
        wire_id = self._ids.to_wire(document_id)
        if isinstance(fields, Document):  # checked once, by the message that all will share
            told = fields.added(collection, wire_id)
            told.text(self._ejson)
            return told.id  # and so is the string
        self._ejson.dumps(dict(fields))
        return wire_id

    def _tell(self, change: Change | None) -> None:
        if change is None:
            return
        if self._before_rerun is None or self._box.is_told_at_once(change.collection):
            self._send(self._written(change))

    def _written(self, change: Change) -> Written:
        return change.letter(self._ejson) if self.has_blobs else change.text(self._ejson)


def _fresh(subscriptions: dict[str, Subscribed]) -> dict[str, Subscribed]:
    return {old.id: Subscribed(old.id, old.name, old.params) for old in subscriptions.values()}

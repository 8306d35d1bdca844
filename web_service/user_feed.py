"""Publishes to everybody who they are, live: Meteor's clients expect it without asking."""

from bson import ObjectId

from shared.models.changes import Change
from shared.models.user_store import UserStore
from shared.models.users import User
from shared.rpc.ddp.document import Document
from shared.rpc.server import Subscription

_COLLECTION = "users"


class UserFeed:
    """Hands every change of a user to the connections on which that user is logged in."""

    def __init__(self, store: UserStore) -> None:
        self._store = store
        self._views: dict[ObjectId, set[_View]] = {}

    async def run(self) -> None:
        """Follow the change stream until cancelled."""
        async for change in self._store.watch():
            if change.kind == "resync":
                for user_id, views in list(self._views.items()):
                    self._show(views, await self._store.get(user_id))
            else:
                self._apply(change)

    async def publish(self, sub: Subscription) -> None:
        """The universal publication: the document of who is logged in, or nothing."""
        if sub.user_id is None:
            return
        user_id, view = ObjectId(sub.user_id), _View(sub)
        # Watch first, look second: what changes in between comes twice, not never.
        self._views.setdefault(user_id, set()).add(view)
        sub.on_stop(lambda: self._forget(user_id, view))
        self._show({view}, await self._store.get(user_id))

    def _apply(self, change: Change[User]) -> None:
        if change.record is not None or change.kind == "delete":
            self._show(self._views.get(change.id, set()), change.record)

    def _show(self, views: "set[_View]", user: User | None) -> None:
        document = None if user is None else _document(user)
        for view in list(views):
            view.show(document)

    def _forget(self, user_id: ObjectId, view: "_View") -> None:
        views = self._views[user_id]
        views.discard(view)
        if not views:
            del self._views[user_id]


class _View:
    """What one connection has been told of its user."""

    def __init__(self, sub: Subscription) -> None:
        self._sub = sub
        self._is_shown = False

    def show(self, document: Document | None) -> None:
        """The user as they are now; without one, nobody can be logged in."""
        sub = self._sub
        if document is None:
            sub.session.close("logged out")
        else:
            publish = sub.replaced if self._is_shown else sub.added
            # The id as text, as in the result of a login: ``users.findOne(userId)``.
            publish(_COLLECTION, sub.user_id, document)
            self._is_shown = True


def _document(user: User) -> Document:
    return Document({"username": user.username, "role": user.role})

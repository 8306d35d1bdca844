"""What a client is subscribed to, and what of it the server has been told."""

from collections.abc import Iterable

import msgspec

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.parcels import Written


class _Wanted(msgspec.Struct, eq=False):
    text: Written
    is_sent: bool = False  # on this session
    is_ready: bool = False  # on this session
    was_ready: bool = False  # on any


class Subscriptions:
    """The subscriptions of one client, in the order in which they were made."""

    def __init__(self) -> None:
        self._wanted: dict[str, _Wanted] = {}
        self._left: dict[str, bool] = {}  # to be unsubscribed → whether the server was told

    def __contains__(self, subscription_id: str) -> bool:
        return subscription_id in self._wanted

    def add(self, subscription_id: str, text: Written) -> None:
        """From now on this one is wanted; ``text`` asks for it."""
        self._wanted[subscription_id] = _Wanted(text)

    def leave(self, subscription_id: str) -> bool:
        """It is no longer wanted; returns whether the server has to agree first."""
        wanted = self._wanted.pop(subscription_id)
        if wanted.is_sent:
            self._left[subscription_id] = False
        return wanted.is_sent

    def ended(self, subscription_id: str) -> None:
        """The server says that it has ended."""
        self._wanted.pop(subscription_id, None)
        self._left.pop(subscription_id, None)

    def became_ready(self, ids: Iterable[str]) -> list[str]:
        """The server says that they are ready; returns those of them that are ours."""
        known = [name for name in ids if name in self._wanted]
        for name in known:
            wanted = self._wanted[name]
            wanted.is_ready = wanted.was_ready = True
        return known

    def texts_to_send(self) -> list[Written]:
        """What the server must be told, and is told now."""
        texts: list[Written]
        texts = [m.encode(m.Unsub(name)) for name, is_told in self._left.items() if not is_told]
        self._left = dict.fromkeys(self._left, True)
        for wanted in self._wanted.values():
            if not wanted.is_sent:
                wanted.is_sent = True
                texts.append(wanted.text)
        return texts

    def being_left(self) -> list[str]:
        """Those that the server has not agreed to end yet."""
        return list(self._left)

    def resume(self) -> None:
        """The session goes on: say again what may not have arrived.

        The server ignores an id that it knows, and agrees to end one that it does not.
        """
        self._left = dict.fromkeys(self._left, False)
        for wanted in self._wanted.values():
            wanted.is_sent = wanted.is_ready

    def begin_anew(self) -> set[str]:
        """The session is a new one; returns the ids of those that had been ready before."""
        self._left = {}
        for wanted in self._wanted.values():
            wanted.is_sent = wanted.is_ready = False
        return {name for name, wanted in self._wanted.items() if wanted.was_ready}

"""The waiting line: first come, first served, in two lanes, the urgent one first."""

from collections import OrderedDict
from typing import Generic, TypeVar

Item = TypeVar("Item")


class WaitingLine(Generic[Item]):
    """Holds each item once; leaving from the middle costs as little as from the front."""

    def __init__(self) -> None:
        self._urgent: OrderedDict[Item, None] = OrderedDict()
        self._others: OrderedDict[Item, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._others)

    def join(self, item: Item, *, urgent: bool, front: bool = False) -> None:
        """Put ``item`` at the end of its lane, or at its front."""
        lane = self._urgent if urgent else self._others
        lane[item] = None
        if front:
            lane.move_to_end(item, last=False)

    def next(self) -> Item:
        """Take the first item out.

        Raises:
            KeyError: nobody waits.
        """
        return (self._urgent or self._others).popitem(last=False)[0]

    def leave(self, item: Item) -> bool:
        """Take ``item`` out, wherever it stands; False if it isn't here."""
        for lane in (self._urgent, self._others):
            if item in lane:
                del lane[item]
                return True
        return False

    def clear(self) -> list[Item]:
        """Take all out, in their order."""
        items = [*self._urgent, *self._others]
        self._urgent.clear()
        self._others.clear()
        return items

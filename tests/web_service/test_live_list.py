"""A list that follows changes is what the database would find, whenever it is asked."""

import random
from collections.abc import Mapping

import pytest
from bson import ObjectId

from shared.rpc.ddp.document import Document
from web_service.live_list import LiveList, Step

IDS = [ObjectId(f"{n:024x}") for n in range(6)]


def version(n: int = 1) -> Document:
    return Document({"n": n})


def filled(limit: int, *numbers: int) -> LiveList:
    made = LiveList(limit)
    made.begin_fill()
    made.end_fill({IDS[n]: version() for n in numbers})
    return made


def test_it_begins_with_what_is_found() -> None:
    made, document = LiveList(2), version()
    assert not made.is_filled
    made.begin_fill()
    assert made.end_fill({IDS[1]: document}) == [Step(IDS[1], None, document)]
    assert made.is_filled


def test_a_full_list_takes_newer_ones_and_drops_its_oldest() -> None:
    made, newer = filled(2, 1, 3), version()
    oldest = made.documents[IDS[1]]
    assert made.take(IDS[0], version()) == []
    assert made.take(IDS[4], newer) == [Step(IDS[4], None, newer), Step(IDS[1], oldest, None)]
    assert not made.is_short
    assert [document_id for document_id, _ in made.newest_first()] == [IDS[4], IDS[3]]


def test_a_full_list_that_loses_one_must_be_filled_again() -> None:
    made = filled(2, 1, 3)
    gone = made.documents[IDS[3]]
    assert made.take(IDS[3], None) == [Step(IDS[3], gone, None)]
    assert made.is_short
    assert made.take(IDS[0], version()) == []  # there may be a newer one for its place
    made.begin_fill()
    made.end_fill({IDS[1]: version(), IDS[0]: version()})
    assert not made.is_short


def test_a_list_with_room_that_loses_one_lacks_nothing() -> None:
    made = filled(3, 1, 3)
    made.take(IDS[3], None)
    assert not made.is_short
    assert made.take(IDS[3], None) == []


def test_the_same_version_again_is_no_change() -> None:
    made = filled(2, 1)
    assert made.take(IDS[1], made.documents[IDS[1]]) == []


def test_what_changes_while_the_database_is_asked_is_newer_than_its_answer() -> None:
    made, old, new = LiveList(3), version(1), version(2)
    made.begin_fill()
    assert made.take(IDS[1], new) == []
    assert made.take(IDS[2], None) == []
    assert made.end_fill({IDS[1]: old, IDS[2]: old}) == [Step(IDS[1], None, new)]


def test_no_answer_leaves_it_as_it_was_but_for_the_changes() -> None:
    made, new = filled(2, 1), version(2)
    before = made.documents[IDS[1]]
    made.begin_fill()
    made.take(IDS[1], new)
    assert made.end_fill(None) == [Step(IDS[1], before, new)]


class World:
    """A database, a list, and one who follows what the list tells."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.limit = draw.choice([1, 2, 4])
        self.list = LiveList(self.limit)
        self.stored: dict[ObjectId, Document] = {}
        self.seen: dict[ObjectId, Document] = {}
        self.untold: list[ObjectId] = []

    def newest(self) -> Mapping[ObjectId, Document]:
        return {id_: self.stored[id_] for id_ in sorted(self.stored)[-self.limit :]}

    def change(self) -> None:
        document_id = self.draw.choice(IDS)
        if self.draw.random() < 0.3:
            self.stored.pop(document_id, None)
        else:
            self.stored[document_id] = version(self.draw.randrange(1000))
        self.untold.append(document_id)

    def tell(self) -> None:
        """Tell some changes, with the documents as they are now: later than they happened."""
        count = self.draw.randrange(3)
        for document_id in self.untold[:count]:
            self.follow(self.list.take(document_id, self.stored.get(document_id)))
        del self.untold[:count]

    def fill(self) -> None:
        self.list.begin_fill()
        answer = self.newest()
        for _ in range(self.draw.randrange(3)):
            self.change()
        self.tell()
        self.follow(self.list.end_fill(answer if self.draw.random() < 0.8 else None))

    def follow(self, steps: list[Step]) -> None:
        for document_id, before, after in steps:
            assert self.seen.get(document_id) is before
            self.seen.pop(document_id, None)
            if after is not None:
                self.seen[document_id] = after
        assert self.seen == self.list.documents


@pytest.mark.parametrize("seed", range(30))
def test_any_changes_leave_the_newest_and_tell_each_difference(seed: int) -> None:
    """With answers that are as old as the question, and changes that are told late."""
    draw = random.Random(seed)
    world = World(draw)
    for _ in range(100):
        draw.choice([world.change, world.fill, world.tell])()
    while world.untold or world.list.is_short or not world.list.is_filled:
        draw.choice([world.fill, world.tell])()
    assert world.list.documents == world.newest()

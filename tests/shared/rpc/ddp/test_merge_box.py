"""The merge box, case by case as in Meteor's session_view_tests."""

import random
from typing import Any

import pytest

from shared.rpc.ddp.changes import Change, DocumentAdded, DocumentChanged, DocumentRemoved
from shared.rpc.ddp.merge_box import MergeBox, Strategy
from shared.rpc.ejson import UNDEFINED


def added(**fields: Any) -> DocumentAdded:
    return DocumentAdded("c", "1", fields)


def changed(*cleared: str, **fields: Any) -> DocumentChanged:
    return DocumentChanged("c", "1", fields, list(cleared))


GONE = DocumentRemoved("c", "1")


class Box:
    """One document of one collection, published by subscriptions A, B, …"""

    def __init__(self) -> None:
        self.box = MergeBox()

    def add(self, sub: str, **fields: Any) -> Change | None:
        return self.box.added(sub, "c", "1", fields)

    def change(self, sub: str, **fields: Any) -> Change | None:
        return self.box.changed(sub, "c", "1", fields)

    def remove(self, sub: str) -> Change | None:
        return self.box.removed(sub, "c", "1")


@pytest.fixture
def doc() -> Box:
    return Box()


def test_18_document_stays_while_another_has_it(doc: Box) -> None:
    assert doc.add("A", foo="bar") == added(foo="bar")
    assert doc.add("B", foo="baz") is None
    assert doc.remove("A") == changed(foo="baz")
    assert doc.remove("B") == GONE


def test_19_34_second_field_from_another(doc: Box) -> None:
    doc.add("A", foo="bar")
    assert doc.add("B", foo="baz", baz="quux") == changed(baz="quux")
    assert doc.remove("A") == changed(foo="baz")
    assert doc.remove("B") == GONE


def test_20_25_field_reveal(doc: Box) -> None:
    doc.add("A", foo="bar")
    doc.add("B", foo="baz")
    assert doc.change("A", foo=UNDEFINED) == changed(foo="baz")
    assert doc.remove("B") == changed("foo")
    assert doc.remove("A") == GONE


def test_21_change_of_the_canonical_field(doc: Box) -> None:
    doc.add("A", foo="bar")
    doc.add("B", foo="baz")
    assert doc.change("A", foo="new") == changed(foo="new")
    assert doc.change("B", foo="hidden") is None
    assert doc.remove("A") == changed(foo="hidden")


def test_22_clear_the_canonical_field(doc: Box) -> None:
    doc.add("A", foo="bar")
    assert doc.change("A", foo=UNDEFINED) == changed("foo")
    assert doc.remove("A") == GONE


def test_23_change_makes_a_new_field(doc: Box) -> None:
    doc.add("A", foo="bar")
    doc.add("B", foo="baz")
    assert doc.change("B", baz="quux") == changed(baz="quux")
    assert doc.remove("B") == changed("baz")


def test_24_add_remove_add_again(doc: Box) -> None:
    assert doc.add("A", foo="bar") == added(foo="bar")
    assert doc.remove("A") == GONE
    assert doc.add("A", foo="bar") == added(foo="bar")


def test_26_27_equal_values_are_silent(doc: Box) -> None:
    doc.add("A", foo="bar")
    assert doc.change("A", foo="bar") is None
    assert doc.add("B", foo="bar") is None
    assert doc.remove("A") is None
    assert doc.remove("B") == GONE


def test_28_clear_in_all_is_sent_once(doc: Box) -> None:
    doc.add("A", foo="bar")
    doc.add("B", foo="bar")
    assert doc.change("A", foo=UNDEFINED) is None
    assert doc.change("B", foo=UNDEFINED) == changed("foo")


def test_29_same_change_in_all_is_sent_once(doc: Box) -> None:
    doc.add("A", foo="bar")
    doc.add("B", foo="bar")
    assert doc.change("B", foo="new") is None
    assert doc.change("A", foo="new") == changed(foo="new")


def test_30_several_operations_in_one_change(doc: Box) -> None:
    doc.add("A", foo="bar", baz="quux")
    assert doc.change("A", foo=UNDEFINED, baz="x", n=1) == changed("foo", baz="x", n=1)


def test_31_documents_are_independent() -> None:
    box = MergeBox()
    box.added("A", "c", "1", {"x": 1})
    assert box.added("A", "c", "2", {"x": 1}) == DocumentAdded("c", "2", {"x": 1})
    assert box.added("A", "d", "1", {"x": 1}) == DocumentAdded("d", "1", {"x": 1})


def test_32_several_documents_are_removed() -> None:
    box = MergeBox()
    for document_id in "123":
        box.added("A", "c", document_id, {"x": 1})
    assert [box.removed("A", "c", document_id) for document_id in "31"] == [
        DocumentRemoved("c", "3"),
        DocumentRemoved("c", "1"),
    ]
    assert list(box.leave("A")) == [DocumentRemoved("c", "2")]
    assert box.is_empty


def test_35_odd_field_names(doc: Box) -> None:
    odd = {"hasOwnProperty": 1, "__proto__": 2}
    assert doc.add("A", **odd) == added(**odd)
    assert doc.change("A", __proto__=UNDEFINED) == changed("__proto__")


def test_36_clearing_a_field_that_was_never_set(doc: Box) -> None:
    doc.add("A", foo="bar")
    assert doc.change("A", other=UNDEFINED) is None
    doc.add("B")
    assert doc.change("B", foo=UNDEFINED) is None


def test_underscore_id_is_dropped(doc: Box) -> None:
    assert doc.add("A", _id="x", n=1) == added(n=1)
    assert doc.change("A", _id="y") is None


def test_53_values_are_cloned(doc: Box) -> None:
    value = {"list": [1]}
    doc.add("A", **value)
    value["list"].append(2)
    assert doc.change("A", **value) == changed(list=[1, 2])


def test_what_was_not_added_can_not_change(doc: Box) -> None:
    with pytest.raises(LookupError):
        doc.change("A", x=1)
    doc.add("A", x=1)
    with pytest.raises(LookupError):
        doc.remove("B")


def test_leaving_takes_back_everything_in_order() -> None:
    box = MergeBox()
    box.added("A", "c", "1", {"x": 1})
    box.added("A", "c", "2", {"x": 1})
    box.added("B", "c", "2", {"y": 1})
    assert list(box.leave("A")) == [
        DocumentRemoved("c", "1"),
        DocumentChanged("c", "2", {}, ["x"]),
    ]
    assert list(box.leave("A")) == []


def test_difference_between_two_boxes() -> None:
    before, after = MergeBox(), MergeBox()
    before.added("A", "c", "gone", {})
    before.added("A", "c", "same", {"x": [1]})
    before.added("A", "c", "other", {"x": 1, "y": 1})
    after.added("A", "c", "same", {"x": [1]})
    after.added("A", "c", "other", {"x": 2})
    after.added("A", "d", "new", {"z": 1})
    assert list(after.changes_since(before)) == [
        DocumentRemoved("c", "gone"),
        DocumentChanged("c", "other", {"x": 2}, ["y"]),
        DocumentAdded("d", "new", {"z": 1}),
    ]


def apply(seen: dict[str, dict[str, Any]], change: Change | None) -> None:
    match change:
        case DocumentAdded():
            assert change.id not in seen
            seen[change.id] = dict(change.fields)
        case DocumentChanged():
            assert change.fields or change.cleared
            seen[change.id] |= change.fields
            for name in change.cleared:
                del seen[change.id][name]
        case DocumentRemoved():
            del seen[change.id]
        case None:
            pass


@pytest.mark.parametrize("seed", range(30))
def test_33_any_sequence_leaves_the_client_with_the_union(seed: int) -> None:
    """The client's documents always have the union of the fields, each of somebody's value."""
    draw = random.Random(seed)
    box, seen = MergeBox(), dict[str, dict[str, Any]]()
    published: dict[str, dict[str, dict[str, Any]]] = {"A": {}, "B": {}, "C": {}}
    for _ in range(200):
        sub, doc = draw.choice("ABC"), draw.choice("12")
        mine = published[sub]
        fields = {name: draw.randrange(3) for name in draw.sample("xyz", draw.randrange(4))}
        if doc not in mine:
            mine[doc] = dict(fields)
            apply(seen, box.added(sub, "c", doc, fields))
        elif draw.random() < 0.3:
            del mine[doc]
            apply(seen, box.removed(sub, "c", doc))
        else:
            changes = {n: UNDEFINED if draw.random() < 0.3 else v for n, v in fields.items()}
            mine[doc] = {k: v for k, v in (mine[doc] | changes).items() if v is not UNDEFINED}
            apply(seen, box.changed(sub, "c", doc, changes))
        for document_id in "12":
            owners = [docs[document_id] for docs in published.values() if document_id in docs]
            assert (document_id in seen) == bool(owners)
            fields_seen = seen.get(document_id, {})
            assert fields_seen.keys() == {name for owner in owners for name in owner}
            for name, value in fields_seen.items():
                assert value in [owner[name] for owner in owners if name in owner]
    for sub in "ABC":
        for change in box.leave(sub):
            apply(seen, change)
    assert seen == {}
    assert box.is_empty


# The other strategies

MULTI, NO_MERGE, NO_HISTORY = (
    Strategy.NO_MERGE_MULTI,
    Strategy.NO_MERGE,
    Strategy.NO_MERGE_NO_HISTORY,
)


def unmerged(strategy: Strategy) -> Box:
    box = Box()
    box.box = MergeBox({"c": strategy})
    return box


def test_no_merge_multi_keeps_a_document_until_its_last_subscription_leaves() -> None:
    doc = unmerged(MULTI)
    assert doc.add("A", n=1) == added(n=1)
    assert doc.add("A", n=1, m=2) == changed(n=1, m=2)
    assert doc.add("B", n=1) == changed(n=1)
    assert doc.add("B") is None
    assert doc.change("B", n=1, m=UNDEFINED) == changed("m", n=1)
    assert doc.remove("A") is None
    with pytest.raises(LookupError):
        doc.change("A", n=2)
    assert list(doc.box.leave("B")) == [GONE]
    assert doc.box.is_empty


@pytest.mark.parametrize("strategy", [NO_MERGE, NO_HISTORY])
def test_without_merging_all_is_sent_as_it_is(strategy: Strategy) -> None:
    doc = unmerged(strategy)
    assert doc.add("A", n=1, _id="x") == added(n=1)
    assert doc.add("A", n=1, m=UNDEFINED) == added(n=1)
    assert doc.change("A", n=1, m=UNDEFINED, _id="y") == changed("m", n=1)
    assert doc.change("A") is None
    assert doc.remove("B") == GONE


def test_no_merge_removes_what_another_still_has() -> None:
    doc = unmerged(NO_MERGE)
    doc.add("A", n=1)
    assert doc.add("B", n=2) == added(n=2)
    assert list(doc.box.leave("A")) == [GONE]
    assert list(doc.box.leave("B")) == [GONE]
    assert doc.box.is_empty


def test_no_history_keeps_nothing() -> None:
    doc = unmerged(NO_HISTORY)
    doc.add("A", n=1)
    assert doc.box.is_empty
    assert list(doc.box.leave("A")) == []


def test_strategies_are_of_one_collection() -> None:
    box = MergeBox({"events": NO_HISTORY})
    assert box.added("A", "events", "1", {"n": 1}) == box.added("A", "events", "1", {"n": 1})
    assert box.added("A", "c", "1", {"n": 1}) == added(n=1)
    assert box.added("A", "c", "1", {"n": 1}) is None


def test_difference_between_two_boxes_without_fields() -> None:
    strategies = {"multi": MULTI, "ids": NO_MERGE, "events": NO_HISTORY}
    before, after = MergeBox(strategies), MergeBox(strategies, is_rerun=True)
    for collection in strategies:
        for document_id in ("gone", "same"):
            before.added("A", collection, document_id, {"n": 1})
        for document_id in ("same", "new"):
            after.added("A2", collection, document_id, {"n": 1})
    after.changed("A2", "multi", "new", {"n": 2, "x": UNDEFINED})
    assert list(after.changes_since(before)) == [
        DocumentRemoved("multi", "gone"),
        DocumentRemoved("ids", "gone"),
        DocumentChanged("multi", "same", {"n": 1}, []),
        DocumentAdded("multi", "new", {"n": 2}),
    ]
    assert [after.is_told_at_once(name) for name in strategies] == [False, True, True]

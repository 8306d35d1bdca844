"""The merge box, case by case as in Meteor's session_view_tests."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from shared.rpc.ddp.changes import Change, DocumentAdded, DocumentChanged, DocumentRemoved
from shared.rpc.ddp.document import Document
from shared.rpc.ddp.merge_box import MergeBox, Strategy
from shared.rpc.ejson import UNDEFINED
from shared.rpc.errors import MethodError


def added(**fields: Any) -> DocumentAdded:
    return DocumentAdded("c", "1", fields)


def changed(*cleared: str, **fields: Any) -> DocumentChanged:
    return DocumentChanged("c", "1", fields, list(cleared))


GONE = DocumentRemoved("c", "1")


class Box:
    """One document of one collection, published by subscriptions A, B, …"""

    def __init__(self, made: Callable[[dict[str, Any]], Mapping[str, Any]] = dict) -> None:
        self.box = MergeBox()
        self.made = made

    def add(self, sub: str, **fields: Any) -> Change | None:
        return self.box.added(sub, "c", "1", self.made(fields))

    def replace(self, sub: str, **fields: Any) -> Change | None:
        return self.box.replaced(sub, "c", "1", Document(fields))

    def change(self, sub: str, **fields: Any) -> Change | None:
        return self.box.changed(sub, "c", "1", fields)

    def remove(self, sub: str) -> Change | None:
        return self.box.removed(sub, "c", "1")


@pytest.fixture(params=[dict, Document])
def doc(request: pytest.FixtureRequest) -> Box:
    """One whose publishers hand in mappings, and one where they hand in documents."""
    return Box(request.param)


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


class Model:
    """The merge box as Meteor describes it: each field's publishers, the earliest first."""

    def __init__(self) -> None:
        self.claims: dict[str, dict[str, list[tuple[str, Any]]]] = {}
        self.owners: dict[str, list[str]] = {}

    def put(self, sub: str, doc: str, fields: Mapping[str, Any]) -> None:
        owners, claims = self.owners.setdefault(doc, []), self.claims.setdefault(doc, {})
        if sub not in owners:
            owners.append(sub)
        for name, value in fields.items():
            of_field = claims.setdefault(name, [])
            rank = next((i for i, (owner, _) in enumerate(of_field) if owner == sub), len(of_field))
            of_field[rank : rank + 1] = [] if value is UNDEFINED else [(sub, value)]

    def replace(self, sub: str, doc: str, fields: Mapping[str, Any]) -> None:
        self.put(sub, doc, dict.fromkeys(self.claims[doc], UNDEFINED) | dict(fields))

    def remove(self, sub: str, doc: str) -> None:
        self.replace(sub, doc, {})
        self.owners[doc].remove(sub)

    def seen(self) -> dict[str, dict[str, Any]]:
        return {
            doc: {name: of_field[0][1] for name, of_field in claims.items() if of_field}
            for doc, claims in self.claims.items()
            if self.owners[doc]
        }


@pytest.mark.parametrize("seed", range(60))
def test_33_any_sequence_leaves_the_client_with_the_union(seed: int) -> None:
    """Of each field the earliest value, whether mappings or shared documents are published."""
    draw = random.Random(seed)
    box, model, seen = MergeBox(), Model(), dict[str, dict[str, Any]]()
    shared = [Document({n: draw.randrange(2) for n in draw.sample("xyz", 2)}) for _ in range(6)]
    for _ in range(200):
        sub, doc, what = draw.choice("ABC"), draw.choice("12"), draw.random()
        fields = {name: draw.randrange(3) for name in draw.sample("xyz", draw.randrange(4))}
        published = draw.choice([fields, Document(fields), draw.choice(shared)])
        if sub not in model.owners.get(doc, []) or what < 0.1:
            model.put(sub, doc, published)
            apply(seen, box.added(sub, "c", doc, published))
        elif what < 0.3:
            model.remove(sub, doc)
            apply(seen, box.removed(sub, "c", doc))
        elif what < 0.6:
            document = draw.choice(shared)
            model.replace(sub, doc, document)
            apply(seen, box.replaced(sub, "c", doc, document))
        else:
            changes = {n: UNDEFINED if draw.random() < 0.3 else v for n, v in fields.items()}
            model.put(sub, doc, changes)
            apply(seen, box.changed(sub, "c", doc, changes))
        assert seen == model.seen()
    for sub in "ABC":
        for change in box.leave(sub):
            apply(seen, change)
    assert seen == {}
    assert box.is_empty


# Documents that sessions share


def test_a_replacement_tells_the_difference(doc: Box) -> None:
    doc.add("A", foo="bar", gone=1)
    assert doc.replace("A", foo="baz", new=2) == changed("gone", foo="baz", new=2)
    assert doc.replace("A", foo="baz", new=2) is None
    assert doc.change("A", foo="own") == changed(foo="own")
    assert doc.replace("A", foo="baz", new=2) == changed(foo="baz")


def test_a_replacement_is_only_of_what_that_subscription_published(doc: Box) -> None:
    doc.add("A", foo="bar", x=1)
    doc.add("B", foo="hidden", y=1)
    assert doc.replace("B", foo="other", z=1) == changed("y", z=1)
    assert doc.replace("A", x=1) == changed(foo="other")
    assert doc.remove("B") == changed("foo", "z")
    assert doc.replace("A", x=2) == changed(x=2)


def test_what_was_not_added_can_not_be_replaced(doc: Box) -> None:
    with pytest.raises(LookupError):
        doc.replace("A", x=1)


def test_a_session_holds_the_document_itself_and_tells_the_same_change_as_all() -> None:
    first, second = MergeBox(), MergeBox()
    old, new = Document({"n": 1, "m": [1]}), Document({"n": 2, "m": [1]})
    told = [
        (
            box.added("A", "c", "1", old),
            box.replaced("A", "c", "1", new),
        )
        for box in (first, second)
    ]
    assert told[0] == (added(n=1, m=[1]), changed(n=2))
    assert told[0][0] is told[1][0]
    assert told[0][1] is told[1][1]


def test_documents_are_told_as_they_are_where_nothing_is_merged() -> None:
    for strategy in Strategy:
        doc = Box(Document)
        doc.box = MergeBox({"c": strategy})
        assert doc.add("A", n=1, m=1, _id="x") == added(n=1, m=1)
        expected = changed("m", n=2) if strategy is Strategy.SERVER_MERGE else changed(n=2)
        assert doc.replace("A", n=2) == expected


# How many there may be


def test_a_document_too_many_is_refused_and_the_others_stay() -> None:
    box = MergeBox(max_documents=2)
    box.added("A", "c", "1", {"x": 1})
    assert box.added("B", "c", "1", {"y": 1}) is not None
    for sub, document_id in (("A", "2"), ("B", "2"), ("C", "1")):
        with pytest.raises(MethodError) as refused:
            box.added(sub, "c", document_id, {})
        assert refused.value.error == "too-many-documents"
    assert box.added("A", "c", "1", {"x": 2}) == changed(x=2)
    assert box.changed("B", "c", "1", {"y": 2}) == changed(y=2)
    box.removed("A", "c", "1")
    assert box.added("C", "c", "2", {}) is not None
    assert list(box.leave("C")) == [DocumentRemoved("c", "2")]
    assert box.added("D", "c", "3", {}) is not None


@pytest.mark.parametrize("strategy", Strategy)
def test_only_what_is_kept_is_counted(strategy: Strategy) -> None:
    box = MergeBox({"c": strategy}, max_documents=1)
    box.added("A", "c", "1", {})
    box.removed("A", "c", "1")
    box.added("A", "c", "2", {})
    if strategy is Strategy.NO_MERGE_NO_HISTORY:
        box.added("A", "c", "3", {})
    else:
        with pytest.raises(MethodError):
            box.added("A", "c", "3", {})


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

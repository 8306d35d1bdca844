"""The client's subscriptions and documents after a drop: nobody sees an empty moment."""

import pytest

from shared.rpc.ddp.events import MethodReturned, SubscriptionEnded, SubscriptionReady
from shared.rpc.ejson import UNDEFINED
from tests.shared.rpc.ddp.wire import Wire, document, event, ids, ready, result, updated

# Subscriptions


def test_76_what_was_asked_for_comes_in_its_order() -> None:
    wire = Wire()
    first, second = wire.session.subscribe("a", []), wire.session.subscribe("b", [])
    wire.session.unsubscribe(first)
    third = wire.session.subscribe("c", [])
    said = [(message["msg"], message["id"]) for message in wire.sent()]
    assert said == [("sub", first), ("sub", second), ("unsub", first), ("sub", third)]


def test_a_resumed_session_hears_again_only_what_it_may_have_missed() -> None:
    wire = Wire()
    ready_one, asked = wire.session.subscribe("a", []), wire.session.subscribe("b", [])
    left, left_later = wire.session.subscribe("c", []), wire.session.subscribe("d", [])
    wire.got(ready(ready_one, left, left_later))
    wire.session.unsubscribe(left)
    assert wire.drop() == [SubscriptionEnded(left, None)]
    wire.session.unsubscribe(left_later)
    assert wire.session.events() == [SubscriptionEnded(left_later, None)]
    new = wire.session.subscribe("e", [])
    said = {(message["msg"], message["id"]) for message in wire.connect("S1")}
    assert said == {("unsub", left), ("unsub", left_later), ("sub", asked), ("sub", new)}
    wire.got({"msg": "nosub", "id": left}, {"msg": "nosub", "id": left_later})
    wire.drop()
    assert {message["id"] for message in wire.connect("S1")} == {asked, new}


def test_a_new_session_hears_nothing_of_what_was_left() -> None:
    wire = Wire()
    sub = wire.session.subscribe("a", [])
    wire.session.unsubscribe(sub)
    wire.drop()
    assert wire.connect() == []


def test_an_unsubscribe_before_it_was_asked_for_needs_no_answer() -> None:
    wire = Wire(connected=False)
    wire.session.logs_in = True
    wire.connect()
    sub = wire.session.subscribe("a", [])
    wire.session.unsubscribe(sub)
    assert wire.session.events() == [SubscriptionEnded(sub, None)]
    wire.session.logged_in()
    assert wire.sent() == []


# Documents


def test_a_resumed_session_keeps_its_documents() -> None:
    wire = Wire()
    sub = wire.session.subscribe("a", [])
    wire.got(document("added", fields={"n": 1}), ready(sub))
    wire.drop()
    wire.connect("S1")
    assert wire.got(document("changed", fields={"n": 2}), document("added", "b")) == [
        event("changed", n=2),
        event("added", "b"),
    ]
    assert wire.session.documents("c") == {"a": {"n": 2}, "b": {}}


def test_70_a_new_session_shows_no_empty_moment() -> None:
    wire = Wire()
    sub, never = wire.session.subscribe("a", []), wire.session.subscribe("b", [])
    wire.got(
        document("added", "stays", fields={"n": 1}),
        document("added", "changes", fields={"n": 1, "m": 1}),
        document("added", "goes", fields={}),
        ready(sub),
    )
    documents = wire.session.documents("c")
    wire.drop()
    wire.connect()
    assert (
        wire.got(
            document("added", "stays", fields={"n": 1}),
            document("added", "changes", fields={"n": 1}),
            document("changed", "changes", fields={"n": 2}),
            document("added", "comes", fields={}),
            document("added", "flash", fields={}),
            document("removed", "flash"),
        )
        == []
    )
    assert list(documents) == ["stays", "changes", "goes"]
    assert wire.got(ready(sub)) == [
        event("removed", "goes"),
        event("changed", "changes", n=2, m=UNDEFINED),
        event("added", "comes"),
        SubscriptionReady(sub),
    ]
    assert documents == {"stays": {"n": 1}, "changes": {"n": 2}, "comes": {}}
    assert wire.got(document("removed", "comes")) == [event("removed", "comes")]
    assert wire.got(ready(never)) == [SubscriptionReady(never)]


def test_a_new_subscription_is_ready_once_its_documents_are_shown() -> None:
    wire = Wire()
    old = wire.session.subscribe("a", [])
    wire.got(ready(old))
    wire.drop()
    new = wire.session.subscribe("b", [])
    wire.connect()
    assert wire.got(document("added"), ready(new)) == []
    assert wire.got(ready(old)) == [
        event("added"),
        SubscriptionReady(new),
        SubscriptionReady(old),
    ]


@pytest.mark.parametrize("how", ["nosub", "unsubscribe"])
def test_a_subscription_that_ends_is_not_waited_for(how: str) -> None:
    wire = Wire()
    sub = wire.session.subscribe("a", [])
    wire.got(document("added", "goes"), ready(sub))
    wire.drop()
    wire.connect()
    if how == "nosub":
        assert wire.got({"msg": "nosub", "id": sub})[0] == event("removed", "goes")
    else:
        wire.session.unsubscribe(sub)
        assert wire.session.events() == [event("removed", "goes")]


def test_methods_that_are_sent_again_are_waited_for() -> None:
    wire = Wire()
    sub = wire.session.subscribe("a", [])
    wire.got(document("added", "old"), ready(sub))
    wire.session.call("write", [], retry=True)
    wire.session.call("forgotten", [], retry=True)
    wire.drop()
    wire.connect()
    assert wire.got(document("added", "new"), ready(sub), result("1")) == [
        MethodReturned("1", UNDEFINED)
    ]
    assert wire.got(updated("1")) == []
    wire.session.forget("2")
    assert wire.session.events() == [
        event("removed", "old"),
        event("added", "new"),
        SubscriptionReady(sub),
    ]


def test_65_calls_that_were_not_sent_are_not_waited_for() -> None:
    wire = Wire()
    sub = wire.session.subscribe("a", [])
    wire.got(document("added", "old"), ready(sub))
    wire.session.call("write", [], retry=True)
    wire.session.call("unsent", [], wait=True)
    wire.drop()
    wire.connect()
    wire.got(result("1"), ready(sub))
    assert ids(wire.sent()) == ["2"]
    assert wire.got(updated("1")) == [event("removed", "old"), SubscriptionReady(sub)]


def test_75_a_call_between_a_reset_and_quiescence() -> None:
    wire = Wire()
    sub = wire.session.subscribe("a", [])
    wire.got(document("added", fields={"n": 1}), ready(sub))
    wire.drop()
    wire.connect()
    wire.session.call("read", [])
    wire.session.call("write", [], updated=True)
    assert ids(wire.sent()) == ["1", "2"]
    assert wire.got(
        document("added", fields={"n": 1}),
        document("changed", fields={"n": 2}),
        updated("2"),
        result("2", result="done"),
        result("1"),
    ) == [MethodReturned("1", UNDEFINED)]
    assert wire.got(ready(sub)) == [
        event("changed", n=2),
        MethodReturned("2", "done"),
        SubscriptionReady(sub),
    ]


def test_a_second_drop_before_quiescence_still_shows_no_empty_moment() -> None:
    wire = Wire()
    sub = wire.session.subscribe("a", [])
    wire.got(document("added", fields={"n": 1}), ready(sub))
    wire.drop()
    wire.connect()
    wire.got(document("added", fields={"n": 2}))
    wire.drop()
    wire.connect("S2")  # resumed within the first batch
    wire.drop()
    wire.connect()
    assert wire.got(document("added", fields={"n": 3})) == []
    assert wire.got(ready(sub)) == [event("changed", n=3), SubscriptionReady(sub)]

"""The client's session after a drop: what it asks for, says again, gives up and shows."""

from collections.abc import Sequence

import pytest

from shared.rpc.ddp.events import (
    MethodRaised,
    MethodReturned,
    SubscriptionReady,
)
from shared.rpc.ejson import UNDEFINED
from shared.rpc.errors import ConnectionLost
from tests.shared.rpc.ddp.wire import Wire, document, event, ids, ready, result, updated


def lost(events: Sequence[object]) -> dict[str, bool]:
    """The calls that failed with their connection: id → whether they may have run."""
    return {
        one.id: one.error.may_have_run
        for one in events
        if isinstance(one, MethodRaised) and isinstance(one.error, ConnectionLost)
    }


# Asking for the session


def test_a_reconnect_says_what_was_received() -> None:
    wire = Wire()
    wire.session.call("a", [])
    wire.got(
        {"msg": "ping"},
        {"msg": "pong"},
        {"msg": "pong", "id": {"ill": "typed"}},
        document("added"),
        document("changed", "unknown"),
        {"msg": "new-in-ddp-2", "x": 1},
        {"msg": "added", "ill": "typed"},
        {"msg": "error", "reason": "?"},
        result("1"),
        updated("1", "99"),
        {"server_id": "0"},
        "garbage",
        b"binary",
    )
    wire.drop()
    wire.session.connection_made(0)
    (text,) = wire.texts()
    assert text == (
        '{"msg":"connect","session":"S1","receivedCount":8,"version":"1",'
        '"support":["1","pre2","pre1"]}'
    )


def test_the_welcome_counts_too() -> None:
    wire = Wire()
    wire.drop()
    wire.connect("S1")
    wire.got(document("added"))
    wire.drop()
    wire.connect("S1")
    assert wire.introduction["receivedCount"] == 3
    wire.drop()
    wire.connect()  # a new session begins at 1
    wire.drop()
    wire.connect()
    assert (wire.introduction["session"], wire.introduction["receivedCount"]) == ("S2", 1)


def test_what_comes_before_the_welcome_is_not_counted() -> None:
    wire = Wire()
    wire.drop()
    wire.session.connection_made(0)
    wire.got({"server_id": "0"}, {"msg": "error", "reason": "?"}, {"msg": "ping"})
    wire.welcome("S1")
    wire.drop()
    wire.session.connection_made(0)
    assert wire.sent()[0]["receivedCount"] == 2


def test_leaving_is_said_and_ends_the_session() -> None:
    wire = Wire()
    wire.session.call("a", [], retry=True)
    wire.sent()
    wire.session.leave("closed", keep_unsent=False)
    assert wire.texts() == ['{"msg":"disconnect"}']
    assert lost(wire.session.events()) == {"1": True}
    assert wire.got(result("1")) == []
    wire.drop()
    wire.connect()
    assert "session" not in wire.introduction


def test_leaving_without_a_connection_says_nothing() -> None:
    wire = Wire(connected=False)
    wire.session.call("a", [])
    wire.session.call("b", [])
    wire.session.leave("offline", keep_unsent=True)
    assert wire.sent() == []
    assert wire.session.events() == []
    wire.session.leave("closed", keep_unsent=False)
    assert lost(wire.session.events()) == {"1": False, "2": False}


# Calls


def test_a_resumed_session_gets_the_unanswered_calls_again() -> None:
    wire = Wire()
    for name in "abcd":
        wire.session.call(name, [name])
    first = wire.texts()
    wire.got(result("2"))
    wire.session.forget("3")
    assert lost(wire.drop()) == {}
    wire.session.connection_made(0)
    wire.sent()
    wire.welcome("S1")
    assert wire.texts() == [first[0], first[3]]
    assert wire.got(result("1"), result("4")) == [
        MethodReturned("1", UNDEFINED),
        MethodReturned("4", UNDEFINED),
    ]


def test_61_a_new_session_gets_the_calls_that_may_be_sent_again() -> None:
    wire = Wire()
    wire.session.call("again", [], retry=True)
    wire.session.call("sent", [])
    wire.session.call("wait", [], wait=True)
    wire.session.call("behind", [])
    sub = wire.session.subscribe("items", [])
    assert ids(wire.sent()) == ["1", "2", sub]
    assert wire.drop() == []
    assert ids(wire.connect()) == ["1", sub]
    assert wire.introduction["session"] == "S1"
    assert wire.got(result("1")) == [MethodReturned("1", UNDEFINED)]
    assert ids(wire.sent()) == ["3"]
    wire.got(result("3"))
    assert ids(wire.sent()) == ["4"]


def test_62_a_call_that_may_not_be_sent_again_fails_on_a_new_session() -> None:
    wire = Wire()
    wire.session.call("sent", [])
    wire.session.call("again", [], retry=True)
    wire.drop()
    wire.session.connection_made(0)
    assert lost(wire.got({"msg": "connected", "session": "other"})) == {"1": True}
    assert ids(wire.sent()) == ["2"]


def test_63_a_call_with_a_result_is_not_sent_again() -> None:
    wire = Wire()
    sub = wire.session.subscribe("items", [])
    wire.got(ready(sub))
    wire.session.call("write", [], retry=True, updated=True)
    wire.sent()
    assert wire.got(result("1", result=5)) == []
    wire.drop()
    assert ids(wire.connect()) == [sub]
    assert wire.got(document("added")) == []
    assert wire.got(ready(sub)) == [
        event("added"),
        MethodReturned("1", 5),
        SubscriptionReady(sub),
    ]


def test_64_a_call_with_only_updated_is_sent_again() -> None:
    wire = Wire()
    wire.session.call("write", [], retry=True, updated=True)
    wire.got(updated("1"))
    wire.drop()
    assert ids(wire.connect()) == ["1"]
    assert wire.got(result("1")) == []  # its documents are to come again, too
    assert wire.got(updated("1")) == [MethodReturned("1", UNDEFINED)]


def test_a_call_may_wait_for_its_documents() -> None:
    wire = Wire()
    for _ in range(2):
        wire.session.call("write", [], updated=True)
    assert wire.got(result("1", result=5)) == []
    assert wire.got(result("1", result=6)) == []
    assert wire.got(updated("1", "2")) == [MethodReturned("1", 5)]
    assert wire.got(result("2", result=7)) == [MethodReturned("2", 7)]


def test_a_resumed_session_may_bring_only_what_was_missing() -> None:
    wire = Wire()
    wire.session.call("write", [], updated=True)
    wire.got(result("1", result=5))
    wire.drop()
    assert wire.connect("S1") == []
    assert wire.got(updated("1")) == [MethodReturned("1", 5)]


def test_without_resumption_calls_are_given_up() -> None:
    wire = Wire()
    wire.session.call("sent", [])
    wire.session.call("again", [], retry=True)
    wire.session.call("known", [], updated=True)
    wire.session.call("behind", [], wait=True)
    wire.got(result("3", result=5))
    wire.drop()
    wire.session.give_up("15 s passed", keep_unsent=True)
    events = wire.session.events()
    assert lost(events) == {"1": True}
    assert MethodReturned("3", 5) in events
    wire.session.give_up("nobody listens", keep_unsent=False)
    assert lost(wire.session.events()) == {"4": False}
    # a server that still knows the session is welcome to it
    assert ids(wire.connect("S1")) == ["2"]
    assert wire.got(result("1"), result("2")) == [MethodReturned("2", UNDEFINED)]


def test_resuming_in_vain_ends_the_session() -> None:
    wire = Wire()
    wire.session.call("huge", [], retry=True)
    wire.session.call("waits", [], wait=True)
    for attempt in range(3):
        assert wire.drop() == []
        assert ids(wire.connect("S1")) == ["1"]
        if attempt == 0:
            wire.got(document("added"))
    assert wire.drop() == []
    wire.connect("S1")
    assert lost(wire.drop()) == {"1": True}
    assert ids(wire.connect()) == ["2"]
    assert "session" not in wire.introduction


# Wait


def test_66_wait_calls_run_alone() -> None:
    wire = Wire()
    wire.session.call("a", [])
    wire.session.call("b", [])
    wire.session.call("w1", [], wait=True)
    wire.session.call("w2", [], wait=True)
    wire.session.call("c", [])
    wire.session.call("d", [])
    assert ids(wire.sent()) == ["1", "2"]
    wire.got(result("1"))
    assert wire.sent() == []
    wire.got(result("2"))
    assert ids(wire.sent()) == ["3"]
    wire.got(result("3"))
    assert ids(wire.sent()) == ["4"]
    wire.session.forget("4")
    assert ids(wire.sent()) == ["5", "6"]
    wire.session.call("e", [])
    assert ids(wire.sent()) == ["7"]


def test_a_wait_call_with_updated_ends_with_its_documents() -> None:
    wire = Wire()
    wire.session.call("w", [], wait=True, updated=True)
    wire.session.call("a", [])
    wire.got(result("1"))
    assert ids(wire.sent()) == ["1"]
    wire.got(updated("1"))
    assert ids(wire.sent()) == ["2"]


@pytest.mark.parametrize("resumed", [True, False])
def test_a_wait_call_runs_alone_after_a_drop(resumed: bool) -> None:
    wire = Wire()
    wire.session.call("w", [], wait=True, retry=True)
    wire.session.call("a", [])
    wire.drop()
    assert ids(wire.connect("S1" if resumed else None)) == ["1"]
    wire.got(result("1"))
    assert ids(wire.sent()) == ["2"]


def test_a_wait_call_that_is_lost_holds_up_nobody() -> None:
    wire = Wire()
    wire.session.call("w", [], wait=True)
    wire.session.call("a", [])
    wire.drop()
    assert ids(wire.connect()) == ["2"]
    wire.session.call("b", [])
    assert ids(wire.sent()) == ["3"]


def test_60_calls_wait_for_a_connection_in_a_line_that_ends() -> None:
    wire = Wire(connected=False, max_queued=2)
    for _ in range(2):
        wire.session.call("a", [])
    with pytest.raises(ConnectionLost) as caught:
        wire.session.call("a", [])
    assert not caught.value.may_have_run
    assert not wire.session.may_have_run("1")
    assert ids(wire.connect()) == ["1", "2"]
    assert wire.session.may_have_run("1")
    assert wire.session.call("a", []) == "4"


def test_a_forgotten_call_is_never_sent() -> None:
    wire = Wire(connected=False)
    wire.session.forget(wire.session.call("a", []))
    assert wire.connect() == []


# A login comes first


@pytest.mark.parametrize("wait", [True, False])
def test_67_the_calls_of_a_login_come_before_all_others(wait: bool) -> None:
    wire = Wire(connected=False)
    wire.session.logs_in = True
    wire.session.call("waits", [], wait=True)
    sub = wire.session.subscribe("items", [])
    assert wire.connect() == []
    wire.session.call("login", [], first=True, wait=wait)
    wire.session.call("then", [], first=True, wait=wait)
    wire.session.call("late", [])
    assert ids(wire.sent()) == (["2"] if wait else ["2", "3"])
    wire.got(result("2"), result("3"))
    assert ids(wire.sent()) == (["3"] if wait else [])
    wire.got(result("3"))
    assert wire.sent() == []
    wire.session.logged_in()
    assert ids(wire.sent()) == ["1", sub]
    wire.got(result("1"))
    assert ids(wire.sent()) == ["4"]


def test_73_a_login_comes_before_what_is_sent_again() -> None:
    wire = Wire()
    wire.session.logs_in = True
    wire.session.call("again", [], retry=True)
    wire.drop()
    assert wire.connect() == []
    wire.session.call("login", [], first=True)
    assert ids(wire.sent()) == ["2"]
    # a drop within the login: its calls are not for the next session
    wire.drop()
    wire.session.connection_made(0)
    assert lost(wire.got({"msg": "connected", "session": "S3"})) == {"2": True}
    wire.session.call("login", [], first=True)
    wire.got(result("3"))
    wire.session.logged_in()
    assert ids(wire.sent())[-1] == "1"


def test_a_login_goes_on_in_a_resumed_session() -> None:
    wire = Wire(connected=False)
    wire.session.logs_in = True
    wire.session.call("a", [])
    wire.connect()
    wire.session.call("login", [], first=True)
    assert ids(wire.sent()) == ["2"]
    wire.drop()
    assert ids(wire.connect("S1")) == ["2"]
    assert not wire.session.is_logged_in
    wire.got(result("2"))
    wire.session.logged_in()
    assert ids(wire.sent()) == ["1"]


def test_a_resumed_session_is_logged_in() -> None:
    wire = Wire(connected=False)
    wire.session.logs_in = True
    wire.connect()
    wire.session.logged_in()
    wire.drop()
    wire.connect("S1")
    wire.session.call("a", [])
    assert ids(wire.sent()) == ["1"]

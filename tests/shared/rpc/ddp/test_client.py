"""The client's session: what it sends, and what it makes of any server's answers."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rpc.ddp.events import (
    Closed,
    Complaint,
    MethodRaised,
    MethodReturned,
    NegotiationEnded,
    Renegotiating,
    SessionStarted,
    SubscriptionEnded,
    SubscriptionReady,
)
from shared.rpc.ejson import UNDEFINED
from shared.rpc.errors import EjsonError, MethodError
from tests.shared.rpc.ddp.wire import Wire, document, event, ids, ready, result, updated

# Connecting


def test_welcome_after_a_message_without_msg() -> None:
    wire = Wire(connected=False)
    wire.session.connection_made(0)
    assert wire.got({"server_id": "0"}) == []
    assert not wire.session.is_connected
    assert wire.got({"msg": "connected", "session": "S", "extra": 1}) == [SessionStarted("S", "1")]
    assert wire.session.is_connected


def test_the_first_message_is_as_of_meteors_client() -> None:
    wire = Wire(connected=False)
    wire.session.connection_made(0)
    assert wire.texts() == ['{"msg":"connect","version":"1","support":["1","pre2","pre1"]}']


def test_71_failed_is_retried_with_the_servers_version() -> None:
    wire = Wire(connected=False)
    wire.session.connection_made(0)
    assert wire.got({"msg": "failed", "version": "pre1"}) == [
        Renegotiating("pre1"),
        Closed(1000, ""),
    ]
    wire.session.connection_lost()
    wire.connect()
    assert wire.introduction == {
        "msg": "connect",
        "version": "pre1",
        "support": ["1", "pre2", "pre1"],
    }
    assert wire.session.next_timer() is None


def test_a_server_that_names_one_version_after_the_other_is_left() -> None:
    wire = Wire(connected=False)
    wire.session.connection_made(0)
    wire.got({"msg": "failed", "version": "pre1"})
    wire.session.connection_made(0)
    events = wire.got({"msg": "failed", "version": "1"})
    assert events == [NegotiationEnded("1"), Closed(1000, "")]


def test_69_a_session_of_pre1_has_no_pings() -> None:
    wire = Wire(versions=("pre1", "1"))
    assert wire.introduction == {"msg": "connect", "version": "pre1", "support": ["pre1", "1"]}
    wire.got({"msg": "ping"}, {"msg": "ping", "id": "x"})
    assert wire.sent() == []
    assert wire.session.next_timer() is None


@pytest.mark.parametrize("version", ["2", "1"])
def test_72_failed_for_good(version: str) -> None:
    wire = Wire(connected=False)
    wire.session.call("a", [])
    wire.session.connection_made(0)
    settled, *events = wire.got({"msg": "failed", "version": version})
    assert isinstance(settled, MethodRaised)
    assert events == [NegotiationEnded(version), Closed(1000, "")]


def test_no_answer_to_connect() -> None:
    wire = Wire(connected=False)
    wire.session.connection_made(100)
    assert wire.session.next_timer() == 110
    wire.session.handle_timer(110)
    assert wire.session.events() == [Closed(1000, "no answer to connect")]


# Calls


def test_call() -> None:
    wire = Wire()
    assert wire.session.call("echo", ["hi", datetime(1970, 1, 1, tzinfo=UTC)]) == "1"
    assert wire.texts() == ['{"msg":"method","id":"1","method":"echo","params":["hi",{"$date":0}]}']
    assert wire.got(result("1", result={"$date": 0})) == [
        MethodReturned("1", datetime(1970, 1, 1, tzinfo=UTC))
    ]


@pytest.mark.parametrize("updated_first", [True, False, None])
def test_updated_may_come_before_after_or_never(updated_first: bool | None) -> None:
    wire = Wire()
    wire.session.call("echo", [])
    messages = [result("1", result=None), updated("1")]
    if updated_first is None:
        messages.pop()
    elif updated_first:
        messages.reverse()
    assert wire.got(*messages) == [MethodReturned("1", None)]


def test_a_missing_result_is_undefined() -> None:
    wire = Wire()
    wire.session.call("echo", [])
    assert wire.got(result("1")) == [MethodReturned("1", UNDEFINED)]


@pytest.mark.parametrize(
    ("wire_error", "code", "reason", "details"),
    [
        (
            {"error": 404, "reason": "no", "message": "no [404]", "isClientSafe": True},
            404,
            "no",
            None,
        ),
        ({"error": "slug", "details": {"a": 1}}, "slug", "", {"a": 1}),
        ({"reason": 5}, 500, "", None),
        ({"error": None}, "None", "", None),
        ("just text", "just text", "", None),
    ],
)
def test_errors(wire_error: Any, code: Any, reason: str, details: Any) -> None:
    wire = Wire()
    wire.session.call("echo", [])
    (event,) = wire.got(result("1", error=wire_error))
    assert isinstance(event, MethodRaised)
    assert isinstance(event.error, MethodError)
    assert (event.error.error, event.error.reason, event.error.details) == (code, reason, details)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    "text",
    [
        '{"msg":"result","id":"1","result":{"$type":"nope","$value":1}}',
        f'{{"msg":"result","id":"1","result":{nested(900)}}}',
        f'{{"msg":"result","id":"1","result":{nested(100_000)}}}',
        f'{{ "msg" : "result", "id" : "1", "error": {nested(100_000)}}}',
        '{"msg":"result","id":"1","error":}',
    ],
)
def test_an_unreadable_result_settles_the_call(text: str) -> None:
    wire = Wire()
    wire.session.call("echo", [])
    (event,) = wire.got(text)
    assert isinstance(event, MethodRaised | MethodReturned)
    assert wire.got(result("1", result=1)) == []


def test_what_an_unreadable_result_raises() -> None:
    wire = Wire()
    wire.session.call("echo", [])
    (event,) = wire.got(f'{{"msg":"result","id":"1","result":{nested(100_000)}}}')
    assert isinstance(event, MethodRaised)
    assert isinstance(event.error, EjsonError)


def test_params_that_can_not_be_written_send_nothing() -> None:
    wire = Wire()
    with pytest.raises(EjsonError):
        wire.session.call("echo", [object()])
    assert wire.sent() == []


def test_unasked_forgotten_and_repeated_results_are_ignored() -> None:
    wire = Wire()
    wire.session.forget(wire.session.call("echo", []))
    assert wire.got(result("1", result=1), result("99", result=1)) == []
    wire.session.call("echo", [])
    assert len(wire.got(result("2", result=1), result("2", result=1))) == 1


# Subscriptions and documents


def test_subscribe_ready_unsubscribe() -> None:
    wire = Wire()
    sub = wire.session.subscribe("items", [1])
    assert wire.texts() == [f'{{"msg":"sub","id":"{sub}","name":"items","params":[1]}}']
    assert wire.got(ready(sub, "unknown")) == [SubscriptionReady(sub)]
    wire.session.unsubscribe(sub)
    wire.session.unsubscribe(sub)
    assert wire.texts() == [f'{{"msg":"unsub","id":"{sub}"}}']
    assert wire.got({"msg": "nosub", "id": sub}) == [SubscriptionEnded(sub, None)]


def test_subscriptions_are_sent_on_every_connection_with_the_same_ids() -> None:
    wire = Wire(connected=False)
    first, second = wire.session.subscribe("a", []), wire.session.subscribe("b", [])
    assert ids(wire.connect()) == [first, second]
    wire.session.connection_lost()
    wire.session.unsubscribe(first)
    assert wire.session.events() == [SubscriptionEnded(first, None)]
    assert ids(wire.connect()) == [second]


def test_nosub_with_an_error_is_not_sent_again() -> None:
    wire = Wire()
    sub = wire.session.subscribe("items", [])
    (event,) = wire.got({"msg": "nosub", "id": sub, "error": {"error": 404, "reason": "no"}})
    assert isinstance(event, SubscriptionEnded)
    assert event.error is not None
    assert event.error.error == 404
    wire.session.connection_lost()
    assert wire.connect() == []


def test_documents() -> None:
    wire = Wire()
    documents = wire.session.documents("c")
    assert wire.got(
        document("added", fields={"n": 1, "at": {"$date": 0}}),
        document("addedBefore", "-b", before=None),
        document("changed", fields={"n": 2}, cleared=["at"]),
        document("movedBefore", before=None),
    ) == [
        event("added", n=1, at=datetime(1970, 1, 1, tzinfo=UTC)),
        event("added", "b"),
        event("changed", n=2, at=UNDEFINED),
    ]
    assert documents == {"a": {"n": 2}, "b": {}}
    assert wire.got(document("removed", "-b")) == [event("removed", "b")]
    assert documents == {"a": {"n": 2}}


def test_documents_of_a_careless_server() -> None:
    wire = Wire()
    wire.got(document("added", fields={"n": 1, "m": 1}))
    assert wire.got(document("added", fields={"n": 2})) == [event("changed", n=2)]
    assert (
        wire.got(
            document("changed", "x", fields={"n": 1}),
            document("removed", "x"),
            document("added", "~nonsense", fields={}),
            document("added", "y", fields=[1]),
            document("added", "y", fields={"n": {"$type": "no", "$value": 1}}),
        )
        == []
    )
    assert wire.session.documents("c") == {"a": {"n": 2, "m": 1}}


# Pings, time, garbage


def test_pings() -> None:
    wire = Wire()
    wire.got({"msg": "ping"}, {"msg": "ping", "id": "x"}, {"msg": "pong"})
    assert wire.texts() == ['{"msg":"pong"}', '{"msg":"pong","id":"x"}']


def test_a_silent_server_is_given_up() -> None:
    wire = Wire()
    assert wire.session.next_timer() == 1 + 17.5
    wire.session.handle_timer(18.5)
    wire.session.handle_timer(33.4)
    assert wire.texts() == ['{"msg":"ping"}']
    assert wire.session.events() == []
    wire.session.handle_timer(33.5)
    assert wire.session.events() == [Closed(1000, "no answer to ping")]


def test_what_a_client_ignores() -> None:
    wire = Wire()
    garbage: list[str | bytes] = [
        "",
        "nope",
        "null",
        "[]",
        '{"msg":"new-in-ddp-2"}',
        '{"msg":"added"}',
        '{"msg":"added","collection":"items","id":"~[1]"}',
        b"\x00",
    ]
    assert wire.got(*garbage, '{"msg":"result","id":5}', '{"msg":"connected","session":"T"}') == []


def test_complaints_are_reported() -> None:
    wire = Wire()
    assert wire.got({"msg": "error", "reason": "Bad request", "offendingMessage": {"a": 1}}) == [
        Complaint("Bad request", '{"a": 1}')
    ]
    assert wire.got({"msg": "error", "reason": "?"}) == [Complaint("?", "")]


def test_nothing_is_taken_in_without_a_connection() -> None:
    wire = Wire()
    wire.drop()
    assert wire.got(document("added")) == []


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "msg": st.sampled_from(
                    [
                        "connected",
                        "failed",
                        "result",
                        "added",
                        "changed",
                        "removed",
                        "ready",
                        "nosub",
                        "updated",
                        "ping",
                        "error",
                        "x",
                    ]
                )
            },
            optional={
                "id": st.sampled_from(["1", "s1", "~", "-", 5]),
                "collection": st.sampled_from(["c", 5]),
                "fields": st.sampled_from([{}, {"a": 1}, 5, {"a": {"$date": "x"}}]),
                "cleared": st.sampled_from([["a"], ["zz"], 5]),
                "subs": st.sampled_from([["s1"], [5], []]),
                "result": st.sampled_from([1, None, {"$date": "x"}]),
                "error": st.sampled_from([{"error": 1}, 5, None]),
                "version": st.sampled_from(["1", "pre1", "9"]),
                "session": st.sampled_from(["a", 5]),
            },
        ).map(json.dumps)
        | st.text()
        | st.binary(),
        max_size=30,
    )
)
def test_any_server(texts: list[str | bytes]) -> None:
    """Whatever a server sends, each call is settled at most once, and nothing raises."""
    wire = Wire()
    wire.session.call("a", [])
    wire.session.subscribe("b", [])
    events = [event for text in texts for event in wire.got(text)]
    wire.session.leave("closed", keep_unsent=False)
    events += wire.session.events()
    assert sum(isinstance(event, MethodReturned | MethodRaised) for event in events) == 1

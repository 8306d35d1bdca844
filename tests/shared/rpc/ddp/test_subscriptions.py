"""Subscriptions of a session, and the documents that they publish."""

import json

import pytest

from shared.rpc.ddp.events import Subscribed, Unsubscribed
from shared.rpc.ddp.merge_box import Strategy
from shared.rpc.ejson import UNDEFINED
from shared.rpc.errors import EjsonError, MethodError
from tests.shared.rpc.ddp.conftest import Wire, compact, wire_error


def test_documents_and_ready() -> None:
    wire = Wire()
    sub = wire.subscribe()
    view = wire.session.view
    view.added(sub, "items", "a", {"n": 1, "_id": "a"})
    view.added(sub, "items", "b", {})
    view.changed(sub, "items", "a", {"n": 2, "gone": UNDEFINED})
    view.changed(sub, "items", "a", {"n": UNDEFINED, "m": 1})
    view.changed(sub, "items", "a", {"m": 1})
    view.ready(sub)
    view.ready(sub)
    view.removed(sub, "items", "b")
    assert wire.sent() == [
        '{"msg":"added","collection":"items","id":"a","fields":{"n":1}}',
        '{"msg":"added","collection":"items","id":"b"}',
        '{"msg":"changed","collection":"items","id":"a","fields":{"n":2}}',
        '{"msg":"changed","collection":"items","id":"a","fields":{"m":1},"cleared":["n"]}',
        '{"msg":"ready","subs":["s"]}',
        '{"msg":"removed","collection":"items","id":"b"}',
    ]


def test_unsub_takes_back_then_says_nosub() -> None:
    wire = Wire()
    first, second = wire.subscribe("1"), wire.subscribe("2")
    wire.session.view.added(first, "items", "a", {"x": 1})
    wire.session.view.added(first, "items", "b", {"x": 1})
    wire.session.view.added(second, "items", "b", {"y": 1})
    wire.sent()
    assert wire.send({"msg": "unsub", "id": "1"}) == [
        '{"msg":"removed","collection":"items","id":"a"}',
        '{"msg":"changed","collection":"items","id":"b","cleared":["x"]}',
        '{"msg":"nosub","id":"1"}',
    ]
    assert wire.session.events() == [Unsubscribed(first)]
    wire.session.view.added(first, "items", "z", {})
    wire.session.view.removed(first, "items", "a")
    wire.session.view.ready(first)
    wire.session.view.end(first)
    assert wire.sent() == []


def test_unsub_of_an_unknown_id_is_answered() -> None:
    assert Wire().send({"msg": "unsub", "id": "x"}) == ['{"msg":"nosub","id":"x"}']


def test_a_sub_id_that_is_alive_is_ignored() -> None:
    wire = Wire()
    sub = wire.subscribe("1")
    assert wire.send({"msg": "sub", "id": "1", "name": "others"}) == []
    assert wire.session.events() == []
    wire.session.view.end(sub)
    wire.sent()
    wire.subscribe("1")


def test_unknown_publication() -> None:
    reason = "Subscription 'x' not found"
    not_found = {"error": 404, "reason": reason, "message": f"{reason} [404]"}
    assert Wire().send({"msg": "sub", "id": "1", "name": "x"}) == [
        compact({"msg": "nosub", "id": "1", "error": wire_error(not_found)})
    ]


def test_stop_and_error_from_the_publisher() -> None:
    wire = Wire()
    stopped, failed = wire.subscribe("1"), wire.subscribe("2")
    wire.session.view.added(failed, "items", "a", {})
    wire.session.view.end(stopped)
    wire.session.view.end(failed, MethodError("later", "err"))
    later = {"error": "later", "reason": "err", "message": "err [later]"}
    assert wire.sent()[1:] == [
        '{"msg":"nosub","id":"1"}',
        '{"msg":"removed","collection":"items","id":"a"}',
        compact({"msg": "nosub", "id": "2", "error": wire_error(later)}),
    ]


def test_unsub_waits_for_the_publisher_to_return() -> None:
    wire = Wire()
    wire.send({"msg": "sub", "id": "1", "name": "items"}, {"msg": "unsub", "id": "1"})
    (sub,) = wire.session.events()
    assert isinstance(sub, Subscribed)
    wire.session.view.ready(sub)
    assert wire.sent() == ['{"msg":"ready","subs":["1"]}']
    wire.session.unblock(sub)
    assert wire.sent() == ['{"msg":"nosub","id":"1"}']


def test_publishing_what_can_not_be_written_changes_nothing() -> None:
    wire = Wire()
    sub = wire.subscribe()
    with pytest.raises(EjsonError):
        wire.session.view.added(sub, "items", "a", {"x": object()})
    with pytest.raises(LookupError):
        wire.session.view.changed(sub, "items", "a", {"x": 1})
    assert wire.sent() == []


def test_rerun_for_another_user_sends_only_the_difference() -> None:
    wire = Wire()
    first, second = wire.subscribe("1"), wire.subscribe("2")
    view = wire.session.view
    view.added(first, "items", "same", {"x": 1})
    view.added(first, "items", "old", {})
    view.added(second, "items", "theirs", {"x": 1})
    view.ready(first)
    wire.sent()
    fresh_first, fresh_second = view.begin_rerun()
    view.added(first, "items", "late", {})
    view.added(fresh_first, "items", "same", {"x": 1})
    view.added(fresh_first, "items", "new", {})
    view.ready(fresh_first)
    view.end(fresh_second, MethodError(403, "No"))
    assert wire.sent() == []
    view.end_rerun()
    texts = [json.loads(text) for text in wire.sent()]
    assert [(text["msg"], text.get("id", text.get("subs"))) for text in texts] == [
        ("removed", "old"),
        ("removed", "theirs"),
        ("added", "new"),
        ("nosub", "2"),
        ("ready", ["1"]),
    ]
    view.added(fresh_first, "items", "after", {})
    assert len(wire.sent()) == 1


def test_a_rerun_sends_what_is_not_known_here_at_once_and_the_rest_at_its_end() -> None:
    wire = Wire(strategies={"multi": Strategy.NO_MERGE_MULTI, "ids": Strategy.NO_MERGE})
    view = wire.session.view
    old = wire.subscribe()
    for collection in ("multi", "ids"):
        view.added(old, collection, "a", {"n": 1})
        view.added(old, collection, "b", {"n": 1})
    wire.sent()
    (new,) = view.begin_rerun()
    view.added(new, "multi", "b", {"n": 2})
    assert wire.sent() == []
    view.added(new, "ids", "b", {"n": 2})
    assert wire.sent() == ['{"msg":"added","collection":"ids","id":"b","fields":{"n":2}}']
    view.end_rerun()
    assert wire.sent() == [
        '{"msg":"removed","collection":"multi","id":"a"}',
        '{"msg":"removed","collection":"ids","id":"a"}',
        '{"msg":"changed","collection":"multi","id":"b","fields":{"n":2}}',
    ]


def test_only_so_many_subscriptions_at_a_time() -> None:
    wire = Wire(max_subscriptions=2)
    first = wire.subscribe("1")
    wire.subscribe("2")
    (nosub,) = wire.send({"msg": "sub", "id": "3", "name": "items"})
    assert json.loads(nosub)["error"]["error"] == "too-many-subscriptions"
    assert wire.send({"msg": "sub", "id": "1", "name": "items"}) == []  # it is alive
    wire.session.view.end(first)
    wire.sent()
    wire.subscribe("3")

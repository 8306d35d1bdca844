"""A session over more than one connection: what its client is told, and what it is not."""

from typing import Any

import pytest

from shared.rpc.ddp.events import Closed, MethodCalled
from shared.rpc.ddp.handshake import Greeting
from shared.rpc.ddp.heartbeat import HeartbeatConfig
from tests.shared.rpc.ddp.conftest import WELCOME, Wire, answers, method

PING = {"msg": "ping"}


def test_what_was_lost_and_what_waits_is_told_in_order() -> None:
    wire = Wire()
    sub = wire.subscribe()
    wire.session.view.ready(sub)
    wire.lose({"msg": "unsub", "id": "x"})
    wire.session.view.added(sub, "items", "a", {})
    assert wire.come_back()
    assert wire.sent() == [
        WELCOME,
        '{"msg":"ready","subs":["s"]}',
        '{"msg":"nosub","id":"x"}',
        '{"msg":"added","collection":"items","id":"a"}',
    ]
    assert wire.send({"msg": "unsub", "id": "y"}) == ['{"msg":"nosub","id":"y"}']
    wire.lose()
    assert wire.come_back()
    assert wire.sent() == [WELCOME]


def test_pings_do_not_count() -> None:
    wire = Wire(heartbeat=HeartbeatConfig(interval=1))
    wire.send(PING, PING)
    wire.session.handle_timer(1)
    wire.session.handle_timer(2)
    assert wire.sent() == ['{"msg":"ping"}']
    assert wire.received == 1
    wire.lose(PING)
    assert wire.come_back()
    assert wire.sent() == [WELCOME]


@pytest.mark.parametrize("received", [None, -1, 0, 3, 10**30])
def test_a_count_that_does_not_fit(received: int | None) -> None:
    wire = Wire(replay_bytes=40)  # the first text is not kept any more
    wire.send({"msg": "unsub", "id": "x"})
    wire.session.detach()
    assert not wire.session.resume(Greeting("1", "S1", received), 2)


def test_another_version_can_not_go_on() -> None:
    wire = Wire()
    wire.session.detach()
    assert not wire.session.resume(Greeting("pre1", "S1", 1), 2)


@pytest.mark.parametrize("end", ["disconnect", "close"])
def test_what_has_ended_is_not_resumed(end: str) -> None:
    wire = Wire()
    if end == "close":
        wire.session.close(1000, "")
    else:
        wire.send({"msg": "disconnect"})
    assert not wire.come_back()


def test_a_pong_shows_what_need_not_be_kept() -> None:
    wire = Wire(heartbeat=HeartbeatConfig(interval=15))
    wire.send({"msg": "unsub", "id": "x"})
    wire.send({"msg": "pong"})  # of no ping
    assert wire.come_back(received=0)
    wire.sent()
    wire.session.handle_timer(17)
    assert wire.sent() == ['{"msg":"ping"}']
    wire.send({"msg": "unsub", "id": "late"}, {"msg": "pong"})
    assert not wire.come_back(received=1)
    assert wire.come_back(received=2)
    assert wire.sent() == [WELCOME, '{"msg":"nosub","id":"late"}']


def test_a_pong_shows_nothing_of_what_was_sent_after_its_ping() -> None:
    wire = Wire(heartbeat=HeartbeatConfig(interval=10, timeout=10))
    wire.session.handle_timer(11)
    assert wire.sent() == ['{"msg":"ping"}']
    wire.send({"msg": "unsub", "id": "x"})  # so it is alive, but slow to read
    wire.session.handle_timer(21)
    wire.session.handle_timer(31)
    assert wire.sent() == ['{"msg":"ping"}']
    wire.send({"msg": "pong"})  # of the first one
    assert wire.come_back(received=1)
    assert wire.sent() == [WELCOME, '{"msg":"nosub","id":"x"}']


def test_what_nobody_can_still_miss_is_not_kept() -> None:
    wire = Wire(heartbeat=HeartbeatConfig(interval=0), resume_timeout=5)
    assert wire.session.next_timer() == 20
    wire.session.handle_timer(20)
    wire.send({"msg": "unsub", "id": "x"})
    wire.session.handle_timer(40)
    assert not wire.come_back(received=0)
    assert wire.come_back(received=1)


def test_too_much_for_a_client_that_is_away_ends_the_session() -> None:
    wire = Wire(replay_bytes=100)
    sub = wire.subscribe()
    wire.lose()
    wire.session.view.added(sub, "items", "a", {"x": "y" * 37})
    assert wire.session.bytes_to_send == 100
    assert wire.session.events() == []
    wire.session.view.ready(sub)
    assert wire.session.events() == [Closed(1008, "too much waits for a client that is away")]
    assert not wire.come_back()


def test_too_much_for_one_that_was_slow_ends_it_too() -> None:
    wire = Wire(replay_bytes=100)
    sub = wire.subscribe()
    wire.session.view.added(sub, "items", "a", {"x": "y" * 38})
    wire.session.detach()
    assert wire.session.events() == [Closed(1008, "too much waits for a client that is away")]


def test_without_a_connection_there_is_no_heartbeat_and_no_idleness() -> None:
    wire = Wire(idle_timeout=10)
    wire.lose()
    assert wire.session.next_timer() is None
    wire.session.handle_timer(1e9)
    assert wire.session.events() == []
    assert wire.come_back(now=100)
    assert wire.session.next_timer() == 110


def run_next(wire: Wire, result: Any) -> None:
    (event,) = wire.session.events()
    assert isinstance(event, MethodCalled)
    wire.session.method_done(event, result)


def test_a_method_that_is_sent_again_runs_once_and_is_answered_once() -> None:
    """Whatever became of it: it ran, it runs, it waits, or it never arrived."""
    wire = Wire()
    wire.session.method_done(wire.call("ran"), 1)
    blocking = wire.call("runs")
    wire.lose(method("waits"))
    assert wire.come_back()
    again = [method(name) for name in ("ran", "runs", "waits", "new")]
    assert wire.send(*again) == [WELCOME, *answers("ran", "1")]
    wire.session.method_done(blocking, 2)
    assert wire.sent() == answers("runs", "2")
    run_next(wire, 3)
    assert wire.sent() == answers("waits", "3")
    run_next(wire, 4)
    assert wire.sent() == answers("new", "4")
    assert wire.session.events() == []


def test_a_method_ends_while_its_client_is_away() -> None:
    wire = Wire()
    call = wire.call("1")
    wire.lose()
    wire.session.method_done(call, 5)
    assert wire.come_back()
    assert wire.send(method("1")) == [WELCOME, *answers("1", "5")]


def test_the_next_session_of_a_client_knows_what_ran() -> None:
    old = Wire()
    old.session.method_done(old.call("ran"), 1)
    cut = old.call("cut")
    old.send(method("waits"))
    old.session.close(1000, "")
    old.session.method_done(cut, "too late")
    new = Wire(remembered=old.session.legacy())
    assert new.send(method("ran")) == answers("ran", "1")
    assert '"error":"interrupted"' in new.send(method("cut"))[1]
    assert new.send(method("waits")) == []
    run_next(new, 2)
    assert new.sent() == answers("waits", "2")


@pytest.mark.parametrize("has_left", [True, False])
def test_who_leaves_leaves_nothing(has_left: bool) -> None:
    wire = Wire()
    wire.session.method_done(wire.call("1"), 1)
    if has_left:
        wire.session.leave()
    else:
        wire.session.close(1000, "")
    assert (wire.session.legacy() is None) == has_left


def test_a_session_without_methods_leaves_nothing() -> None:
    wire = Wire()
    wire.session.close(1000, "")
    assert wire.session.legacy() is None

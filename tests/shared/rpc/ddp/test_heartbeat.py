"""When a heartbeat pings, and when it gives up."""

from shared.rpc.ddp.heartbeat import Heartbeat, HeartbeatConfig


def beating(interval: float = 15, timeout: float = 10) -> Heartbeat:
    heartbeat = Heartbeat(HeartbeatConfig(interval=interval, timeout=timeout))
    heartbeat.start(0)
    return heartbeat


def test_a_silent_peer_is_pinged_then_given_up() -> None:
    heartbeat = beating()
    assert heartbeat.next_timer() == 15
    assert not heartbeat.tick(14.9)
    assert heartbeat.tick(15)
    assert heartbeat.next_timer() == 25
    assert not heartbeat.is_dead(24.9)
    assert heartbeat.is_dead(25)


def test_any_message_counts_as_life() -> None:
    heartbeat = beating()
    heartbeat.message_received()
    assert not heartbeat.tick(15)
    assert heartbeat.tick(30)
    heartbeat.message_received()
    assert not heartbeat.is_dead(1000)
    assert not heartbeat.tick(45)


def test_only_one_ping_is_on_its_way() -> None:
    heartbeat = beating(interval=5, timeout=20)
    assert heartbeat.tick(5)
    assert not heartbeat.tick(10)
    assert heartbeat.is_dead(25)


def test_interval_zero_is_off() -> None:
    heartbeat = beating(interval=0)
    assert heartbeat.next_timer() is None
    assert not heartbeat.tick(1000)


def test_stopped() -> None:
    heartbeat = beating()
    assert heartbeat.tick(15)
    heartbeat.stop()
    assert heartbeat.next_timer() is None
    assert not heartbeat.is_dead(1000)

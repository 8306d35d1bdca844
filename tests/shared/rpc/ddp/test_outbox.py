"""The outbox: what is numbered, what is kept, and from where it can be told again."""

from hypothesis import given
from hypothesis import strategies as st

from shared.rpc.ddp.outbox import Outbox
from tests.support.texts import only_texts

WELCOME = b"welcome"


def drained(outbox: Outbox) -> list[bytes]:
    texts: list[bytes] = []
    while not outbox.is_empty:
        texts += only_texts(outbox.take())
    return texts


def with_texts(*texts: bytes, replay_bytes: int = 1000) -> Outbox:
    """An outbox that has handed these out."""
    outbox = Outbox(replay_bytes)
    outbox.put(*texts)
    assert drained(outbox) == list(texts)
    return outbox


def test_everything_leaves_in_order() -> None:
    outbox = Outbox(1000)
    outbox.put(b"a", b"b")
    outbox.put_control(b"ping")
    outbox.put(b"c")
    assert outbox.waiting_bytes == 7
    assert outbox.last_number == 3
    assert outbox.take() == [b"a", b"b", b"ping", b"c"]
    assert (outbox.waiting_bytes, outbox.last_number) == (0, 3)
    assert outbox.kept_bytes == 3


def test_much_leaves_in_slices() -> None:
    outbox = Outbox(1000)
    texts = [bytes([n]) * 100_000 for n in range(10)]
    outbox.put(*texts)
    outbox.put_control(b"ping")
    first = outbox.take()
    assert first == texts[:3]
    assert outbox.waiting_bytes == 700_004
    assert first + drained(outbox) == [*texts, b"ping"]


def test_a_client_is_told_what_it_missed_then_what_is_new() -> None:
    outbox = with_texts(b"1", b"2", b"3")
    outbox.put(b"4")
    outbox.put_control(b"ping")
    assert outbox.rewind(1, WELCOME)
    assert outbox.waiting_bytes == len(WELCOME) + 3
    assert drained(outbox) == [WELCOME, b"2", b"3", b"4"]
    assert outbox.last_number == 5  # the welcome counts


def test_a_welcome_that_was_lost_is_not_said_twice() -> None:
    outbox = with_texts(b"1", b"2")
    assert outbox.rewind(1, WELCOME)
    assert drained(outbox) == [WELCOME, b"2"]
    assert outbox.rewind(1, WELCOME)
    assert drained(outbox) == [WELCOME, b"2"]
    assert outbox.rewind(3, WELCOME)
    assert drained(outbox) == [WELCOME]


def test_nobody_can_have_received_more_than_was_sent_or_less_than_nothing() -> None:
    outbox = with_texts(b"1", b"2")
    outbox.put(b"3")
    assert not outbox.rewind(3, WELCOME)
    assert not outbox.rewind(-1, WELCOME)
    assert drained(outbox) == [b"3"]
    assert outbox.rewind(0, WELCOME)


def test_what_is_kept_is_bounded_and_the_oldest_goes() -> None:
    outbox = with_texts(b"aa", b"bb", b"cc", replay_bytes=5)
    assert outbox.kept_bytes == 4
    assert not outbox.rewind(0, WELCOME)
    assert outbox.rewind(1, WELCOME)
    assert drained(outbox) == [WELCOME, b"bb", b"cc"]


def test_nothing_is_kept_without_room() -> None:
    outbox = with_texts(b"1", b"2", replay_bytes=0)
    assert not outbox.rewind(1, WELCOME)
    assert outbox.rewind(2, WELCOME)


def test_what_has_arrived_is_not_kept() -> None:
    outbox = with_texts(b"1", b"2", b"3")
    outbox.acknowledge(2)
    outbox.acknowledge(1)
    outbox.acknowledge(-1)
    assert outbox.kept_bytes == 1
    assert not outbox.rewind(1, WELCOME)
    assert outbox.rewind(2, WELCOME)
    assert drained(outbox) == [WELCOME, b"3"]


def test_what_is_older_than_one_round_is_not_kept() -> None:
    outbox = with_texts(b"1", b"2")
    outbox.grow_older()
    outbox.put(b"3")
    assert outbox.take() == [b"3"]
    assert outbox.kept_bytes == 3
    outbox.grow_older()
    assert outbox.kept_bytes == 1
    outbox.grow_older()
    assert outbox.kept_bytes == 0


def test_room_is_made_at_the_cost_of_what_was_sent() -> None:
    outbox = with_texts(b"aa", b"bb")
    outbox.put(b"cc")
    assert outbox.make_room(4)
    assert outbox.kept_bytes == 2
    assert outbox.make_room(2)
    assert outbox.kept_bytes == 0
    assert not outbox.make_room(1)


def test_a_lost_connection_takes_pings_along() -> None:
    outbox = Outbox(1000)
    outbox.put_control(b"ping")
    outbox.put(b"1")
    outbox.disconnected()
    assert outbox.waiting_bytes == 1
    assert outbox.take() == [b"1"]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 10)), max_size=30))
def test_over_any_drops_a_client_receives_each_text_once_and_in_order(
    rounds: list[tuple[int, bool, int]],
) -> None:
    outbox = Outbox(1_000_000)
    said = 0
    received: list[bytes] = []
    count = 0
    for texts, ping, arriving in rounds:
        for _ in range(texts):
            said += 1
            outbox.put(str(said).encode())
        if ping:
            outbox.put_control(b"ping")
        arrived = [text for text in drained(outbox) if text != b"ping"][:arriving]
        count += len(arrived)
        received += [text for text in arrived if text != WELCOME]
        outbox.disconnected()
        assert outbox.rewind(count, WELCOME)
    received += [text for text in drained(outbox) if text != WELCOME]
    assert received == [str(n).encode() for n in range(1, said + 1)]

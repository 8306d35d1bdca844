"""What is remembered of finished methods is bounded, and the oldest ones pay for it."""

from shared.rpc.ddp.remembered import Remembered


def add(remembered: Remembered, method_id: str, size: int = 100) -> None:
    texts = (b"", b"x" * (size - 200))
    remembered.add(method_id, texts, session=1, connection=0, fingerprint=0)


def known(remembered: Remembered, method_id: str) -> bool | None:
    """Whether its texts are known; None if it is not known at all."""
    answer = remembered.get(method_id)
    return None if answer is None else bool(answer.texts[1:])


def test_texts_go_first() -> None:
    remembered = Remembered(max_count=10, max_bytes=600)
    for method_id in "abc":
        add(remembered, method_id, 300)
    assert [known(remembered, name) for name in "abcd"] == [False, True, True, None]
    assert remembered.size == 800


def test_then_the_oldest_are_forgotten() -> None:
    remembered = Remembered(max_count=3, max_bytes=600)
    for method_id in "abcd":
        add(remembered, method_id, 300)
    assert [known(remembered, name) for name in "abcd"] == [None, False, True, True]


def test_without_lost_texts_the_oldest_is_forgotten_with_its() -> None:
    remembered = Remembered(max_count=2, max_bytes=10_000)
    for method_id in "abc":
        add(remembered, method_id, 300)
    assert [known(remembered, name) for name in "abc"] == [None, True, True]
    assert remembered.size == 600


def test_a_large_one_costs_the_others_nothing() -> None:
    remembered = Remembered(max_count=10, max_bytes=600)
    add(remembered, "a", 600)
    add(remembered, "b", 601)
    assert [known(remembered, name) for name in "ab"] == [True, False]


def test_a_large_one_is_remembered_as_long_as_the_others() -> None:
    remembered = Remembered(max_count=3, max_bytes=10_000)
    for method_id, size in (("a", 300), ("b", 300), ("c", 300), ("large", 20_000)):
        add(remembered, method_id, size)
    assert [known(remembered, name) for name in ("a", "b", "large")] == [None, True, False]


def test_an_id_that_is_used_anew_counts_once() -> None:
    remembered = Remembered(max_count=10, max_bytes=1000)
    for size in (300, 2000, 400):
        add(remembered, "a", size)
    assert known(remembered, "a")
    assert remembered.size == 400


def test_nothing_takes_nothing() -> None:
    assert Remembered(max_count=10, max_bytes=1000).size == 0

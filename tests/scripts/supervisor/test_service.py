import pytest

from scripts.supervisor.service import Backoff, describe_exit


def test_pauses_double_up_to_half_a_minute_while_lives_are_short() -> None:
    backoff = Backoff()
    assert [backoff.after(1) for _ in range(6)] == [2, 4, 8, 16, 30, 30]


def test_a_long_life_is_forgiven() -> None:
    backoff = Backoff()
    assert [backoff.after(lived) for lived in (60, 1, 60, 1)] == [2, 4, 2, 4]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-63, "was killed by signal 63"),
    ],
)
def test_an_end_in_words(status: int, words: str) -> None:
    assert describe_exit(status) == words

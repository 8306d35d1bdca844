"""Words for what a job raised, however it resists."""

from collections.abc import Callable

import pytest
from typing_extensions import override

from jobs_service.pool.failure_text import clean, message_of, safely, traceback_of


class SilentError(Exception):
    @override
    def __str__(self) -> str:
        raise SystemExit(1)


def test_the_message_of_an_error() -> None:
    assert message_of(ValueError("wrong")) == "wrong"
    assert message_of(SilentError()) == "(its text can't be shown: __str__ raised)"


def test_the_traceback_starts_after_the_skipped_file() -> None:
    def raising() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong") as caught:
        raising()
    assert "in raising" in traceback_of(caught.value, "elsewhere.py")
    skipped = traceback_of(caught.value, __file__)
    assert skipped == "ValueError: wrong\n"
    assert "SilentError" in traceback_of(SilentError(), "elsewhere.py")


@pytest.mark.parametrize(
    "text", [lambda: 7, lambda: None, lambda: 1 / 0], ids=["int", "none", "raises"]
)
def test_anything_but_a_text_is_replaced(text: Callable[[], object]) -> None:
    assert safely(text, "otherwise") == "otherwise"


def test_clean_text_can_always_be_sent() -> None:
    assert clean("größer", 4) == "größ"
    assert clean("a\ud800b", 10) == "a\\ud800b"

"""How the end of a process is put into words; the rest is tested with real pools."""

import pytest

from jobs_service.pool.zygote_handle import how_it_ended


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "ended"),
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-63, "was killed by signal 63"),
    ],
)
def test_how_it_ended(code: int | None, words: str) -> None:
    assert how_it_ended(code) == words

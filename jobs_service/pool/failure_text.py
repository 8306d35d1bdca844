"""Puts into words what a job raised, without trusting any of its code."""

import traceback
from collections.abc import Callable


def message_of(error: BaseException) -> str:
    """``str(error)``, whatever that does."""
    return safely(lambda: str(error), "(its text can't be shown: __str__ raised)")


def traceback_of(error: BaseException, skip: str) -> str:
    """The traceback from the first frame that is not in the file ``skip``; empty if it fails."""

    def text() -> str:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == skip:
            frames = frames.tb_next
        return "".join(traceback.format_exception(type(error), error, frames))

    return safely(text, "")


def safely(text: Callable[[], object], otherwise: str) -> str:
    """The value of ``text``, which may run a job's own code (``__str__``), else the other."""
    try:
        value = text()
    except BaseException:  # noqa: BLE001 - nothing of a job's may end its child here
        return otherwise
    return value if isinstance(value, str) else otherwise


def clean(text: str, limit: int) -> str:
    """``text`` cut to ``limit`` characters, with lone surrogates made harmless (no UTF-8)."""
    return text[:limit].encode("utf-8", "backslashreplace").decode()

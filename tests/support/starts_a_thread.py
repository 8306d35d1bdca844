"""A module that no zygote may preload: importing it starts a thread."""

import ctypes
import threading


def _name_and_wait() -> None:
    ctypes.CDLL(None).prctl(15, b"a thread", 0, 0, 0)  # PR_SET_NAME
    _named.set()
    threading.Event().wait()


_named = threading.Event()
threading.Thread(target=_name_and_wait, daemon=True).start()
_named.wait()

"""Turns SIGTERM and SIGINT into a request to stop that coroutines can wait for."""

import asyncio
import signal


def stop_on_signals() -> asyncio.Event:
    """An event of the running loop that is set by the first SIGTERM or SIGINT.

    A second signal is the system's own again, and ends the process at once.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def asked() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    return stop

"""Keeps the garbage collector off what a service has made by the time it starts."""

import gc


def freeze_what_is_there() -> None:
    """Leave every object there is now out of all collections to come.

    The loop stands still while the collector looks at all objects. The 60,000 that a
    service's imports make cost 10 ms each time, and none of them is ever garbage.
    """
    gc.collect()
    gc.freeze()

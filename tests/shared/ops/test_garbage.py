"""What was there at start is not looked at again."""

import gc

from shared.ops.garbage import freeze_what_is_there


def test_later_collections_leave_out_what_was_there() -> None:
    there = [[] for _ in range(100)]  # type: list[list[object]]
    freeze_what_is_there()
    try:
        assert gc.get_freeze_count() > len(there)
        assert not any(found is there for found in gc.get_objects())
    finally:
        gc.unfreeze()

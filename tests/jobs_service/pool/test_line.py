"""The waiting line against a plain model of it."""

from hypothesis import given
from hypothesis import strategies as st

from jobs_service.pool.line import WaitingLine


@given(st.lists(st.tuples(st.sampled_from(["join", "front", "next", "leave"]), st.booleans())))
def test_two_lanes_first_come_first_served(steps: list[tuple[str, bool]]) -> None:
    line: WaitingLine[int] = WaitingLine()
    urgent: list[int] = []
    others: list[int] = []
    for n, (step, is_urgent) in enumerate(steps):
        lane = urgent if is_urgent else others
        match step:
            case "join":
                line.join(n, urgent=is_urgent)
                lane.append(n)
            case "front":
                line.join(n, urgent=is_urgent, front=True)
                lane.insert(0, n)
            case "next" if urgent or others:
                assert line.next() == (urgent or others).pop(0)
            case "leave":
                middle = lane[len(lane) // 2] if lane else -1
                assert line.leave(middle) == bool(lane)
                if lane:
                    lane.remove(middle)
        assert len(line) == len(urgent) + len(others)
    assert line.clear() == urgent + others
    assert len(line) == 0
    assert not line.leave(0)

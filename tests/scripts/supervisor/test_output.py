import io
import os

from hypothesis import given
from hypothesis import strategies as st

from scripts.supervisor.output import Lines, Output


@given(st.lists(st.binary(max_size=20), max_size=10), st.data())
def test_lines_are_the_same_however_they_arrive(parts: list[bytes], data: st.DataObject) -> None:
    text = b"\n".join(part.replace(b"\n", b"") for part in parts)
    cut = data.draw(st.integers(0, len(text)))
    lines = Lines()
    found = lines.feed(text[:cut]) + lines.feed(text[cut:]) + lines.rest()
    expected = text.split(b"\n")
    assert found == (expected[:-1] if expected[-1] == b"" else expected)


def test_a_line_without_end_is_passed_on_in_pieces() -> None:
    lines = Lines()
    pieces = [piece for _ in range(100) for piece in lines.feed(b"x" * 4096)] + lines.rest()
    assert sum(map(len, pieces)) == 409_600
    assert max(map(len, pieces)) < 70_000


def test_each_line_stands_behind_its_name() -> None:
    stream = io.BytesIO()
    output = Output(stream)
    output.line("web", b"one\r\n")
    output.say("two\nthree")
    assert stream.getvalue() == b"web  | one\ntwo\nthree\n"


def test_a_reader_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream:
        output = Output(stream)
        output.say("to nobody")
        output.say("again")

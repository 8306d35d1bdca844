"""Frames: what is written can be read again, and arrives as it was."""

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rpc.ddp.frames import Binary
from web_service.sockjs import framing
from web_service.sockjs.framing import BadFrame

TEXTS = st.lists(st.text())
MANGLED = re.compile("[\x00-\x1f\ud800-\udfff\u200c-\u200f\u2028-\u202f\u2060-\u206f\ufff0-\uffff]")


@given(TEXTS)
def test_round_trip(texts: list[str]) -> None:
    frame = framing.messages([text.encode() for text in texts])
    assert frame[:1] == b"a"
    assert json.loads(frame[1:]) == texts
    assert framing.texts_in_frame(frame[1:]) == texts
    assert framing.texts_in_payload(frame[1:]) == texts


@given(TEXTS)
def test_nothing_in_a_frame_is_mangled_on_the_way(texts: list[str]) -> None:
    frame = framing.messages([text.encode() for text in texts]).decode()
    assert not MANGLED.search(frame)
    assert all(ord(character) < 0x10000 for character in frame)


@given(TEXTS, st.text(alphabet="abcXYZ019_.-", min_size=1))
def test_every_style_can_be_undone(texts: list[str], callback: str) -> None:
    frame = framing.messages([text.encode() for text in texts])
    assert framing.XHR.write(frame) == frame + b"\n"
    event = framing.EVENT_SOURCE.write(frame)
    assert event.startswith(b"data: ")
    assert event.endswith(b"\r\n\r\n")
    assert not re.search(rb"[\r\n\0]", event[6:-4])
    assert event[6:-4].replace(b"%25", b"%") == frame
    call = framing.jsonp(callback).write(frame).decode()
    assert call.startswith(f"/**/{callback}(")
    assert json.loads(call[len(callback) + 5 : -4]) == frame.decode()


def test_every_character_of_the_first_plane_that_is_mangled_is_escaped() -> None:
    for code in range(0x10000):
        if (
            MANGLED.match(chr(code))
            and not 0xD800 <= code < 0xE000
            and chr(code) not in "\b\t\n\f\r"
        ):
            assert framing.quoted(chr(code).encode()) == b'"\\u%04x"' % code


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", b'""'),
        ('a"\\/\x7f', b'"a\\"\\\\/\x7f"'),
        ("\b\t\n\f\r\x00\x1f", b'"\\b\\t\\n\\f\\r\\u0000\\u001f"'),
        ("é", '"é"'.encode()),
        ("\u2028 \ufeff", '"\\u2028 \ufeff"'.encode()),
        ("😀", b'"\\ud83d\\ude00"'),
    ],
)
def test_quoted_as_javascript_does(text: str, quoted: bytes) -> None:
    assert framing.quoted(text.encode()) == quoted


def test_what_is_binary_is_refused() -> None:
    assert framing.only_texts([b"a", b"b"]) == [b"a", b"b"]
    with pytest.raises(TypeError):
        framing.only_texts([b"a", Binary(b"b")])


def test_close_frames() -> None:
    assert framing.closed(3000, "Go away!") == b'c[3000,"Go away!"]'
    assert framing.closed(1000, "") == b'c[1000,"Normal closure"]'
    assert framing.closed(1001, "") == b'c[1001,""]'


def test_what_a_websocket_may_bring() -> None:
    assert framing.texts_in_frame("") == []
    assert framing.texts_in_frame("[]") == []
    assert framing.texts_in_frame('["a","b"]') == ["a", "b"]
    assert framing.texts_in_frame('"a"') == ["a"]
    for broken in ('["a', '{"msg":"ping"}', "[5]", '["a",null]', "5", "null", b"\xff", "[" * 5000):
        with pytest.raises(BadFrame):
            framing.texts_in_frame(broken)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "Payload expected."),
        (b'["x', "Broken JSON encoding."),
        (b'"x"', "Payload expected."),
        (b"{}", "Payload expected."),
        (b"[5]", "Payload expected."),
    ],
)
def test_what_a_post_may_not_bring(payload: bytes, why: str) -> None:
    with pytest.raises(BadFrame, match=re.escape(why)):
        framing.texts_in_payload(payload)


@given(st.binary())
def test_garbage_is_refused_and_no_more(data: bytes) -> None:
    for read in (framing.texts_in_frame, framing.texts_in_payload):
        with contextlib.suppress(BadFrame):
            assert all(isinstance(text, str) for text in read(data))

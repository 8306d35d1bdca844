"""SockJS's frames, and how each transport over HTTP writes them. No I/O.

Server to client: ``o`` open, ``h`` heartbeat, ``a["text",…]`` messages, ``c[code,"reason"]``
closed. Client to server: a JSON array of strings.
"""

import re
from collections.abc import Callable, Sequence

import msgspec
import orjson

from shared.rpc.ddp.frames import Binary, Outgoing

OPEN = b"o"
HEARTBEAT = b"h"

BROKEN_FRAMING = 3000
ANOTHER_RECEIVER = 2010
_NORMAL_CLOSURE = 1000

_MANGLED = re.compile("[\u200c-\u200f\u2028-\u202f\u2060-\u206f\ufff0-\U0010ffff]")
"""What browsers or proxies may change on the way; surrogates, so all beyond the first plane."""


class BadFrame(ValueError):
    """What the client sent is no frame; the text says why, in SockJS's words."""


def only_texts(outgoing: Sequence[Outgoing]) -> list[bytes]:
    """What is to be sent, if SockJS can carry it.

    Raises:
        TypeError: it is binary. Sessions agree on that in a version of DDP that browsers,
            and so SockJS's clients, do not speak.
    """
    texts = [text for text in outgoing if not isinstance(text, Binary)]
    if len(texts) < len(outgoing):
        raise TypeError("SockJS carries texts only")
    return texts


def messages(texts: Sequence[bytes]) -> bytes:
    """The frame that carries UTF-8 texts."""
    return b"a[" + b",".join(map(quoted, texts)) + b"]"


def closed(code: int, reason: str) -> bytes:
    """The frame that says why there will be no more."""
    if code == _NORMAL_CLOSURE and not reason:
        reason = "Normal closure"
    return b"c[%d,%s]" % (code, quoted(reason.encode()))


def is_last(frame: bytes) -> bool:
    """Whether no frame comes after this one."""
    return frame.startswith(b"c")


def quoted(text: bytes) -> bytes:
    """A UTF-8 text as a JSON string that survives every browser."""
    if text.isascii():
        return orjson.dumps(text.decode("ascii"))
    return _MANGLED.sub(_escape, orjson.dumps(text.decode()).decode()).encode()


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def texts_in_frame(frame: str | bytes) -> list[str]:
    """The texts of what came over a WebSocket: an array, a single string, or nothing at all.

    Raises:
        BadFrame: it is something else.
    """
    return _texts(frame, lone=True) if frame else []


def texts_in_payload(payload: bytes) -> list[str]:
    """The texts of what was posted: an array.

    Raises:
        BadFrame: it is something else.
    """
    if not payload:
        raise BadFrame("Payload expected.")
    return _texts(payload, lone=False)


def _texts(data: str | bytes, *, lone: bool) -> list[str]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise BadFrame("Broken JSON encoding.") from None
    if lone and isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise BadFrame("Payload expected.")
    return value


class Style(msgspec.Struct, frozen=True):
    """How a transport writes frames into the body of a response."""

    content_type: str
    write: Callable[[bytes], bytes]
    """A frame as it goes into the body."""
    prelude: bytes = b""
    """What the body begins with, whatever comes."""
    single: bool = False
    """Whether a response ends with its first frame."""


def _line(frame: bytes) -> bytes:
    return frame + b"\n"


def _event(frame: bytes) -> bytes:
    # The client decodes it as a URI. Line breaks are escaped already: a frame is JSON.
    return b"data: " + frame.replace(b"%", b"%25") + b"\r\n\r\n"


_SCRIPT = "application/javascript; charset=UTF-8"

XHR = Style(_SCRIPT, _line, single=True)
XHR_STREAMING = Style(_SCRIPT, _line, prelude=b"h" * 2048 + b"\n")
EVENT_SOURCE = Style("text/event-stream", _event, prelude=b"\r\n")


def jsonp(callback: str) -> Style:
    """Each frame is a call of the page's function ``callback``."""

    def write(frame: bytes) -> bytes:
        return b"/**/%s(%s);\r\n" % (callback.encode(), orjson.dumps(frame.decode()))

    return Style(_SCRIPT, write, single=True)

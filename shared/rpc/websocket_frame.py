"""Frames of WebSocket, as they are written (RFC 6455 §5.2); libraries read them.

Theirs cost up to ten times as much to write: they know more kinds of messages, and copy more.
"""

import struct
from typing import Final

from shared.rpc.ddp.frames import Binary, Outgoing

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover - where websockets has no compiled part
    from websockets.utils import apply_mask

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PONG: Final = 10


def message_frame(message: Outgoing, mask: bytes = b"") -> bytes:
    """A whole message: ``bytes`` are a text in UTF-8."""
    if isinstance(message, Binary):
        return frame(BINARY, message.data, mask)
    return frame(TEXT, message, mask)


def frame(kind: int, payload: bytes, mask: bytes = b"") -> bytes:
    """One frame that is not continued; ``mask``: a client's four bytes, made up for each."""
    length, masked = len(payload), 0x80 if mask else 0
    if length < 126:
        head = struct.pack("!BB", 0x80 | kind, masked | length)
    elif length < 65_536:
        head = struct.pack("!BBH", 0x80 | kind, masked | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | kind, masked | 127, length)
    return head + mask + apply_mask(payload, mask) if mask else head + payload

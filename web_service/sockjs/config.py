"""What can be chosen about the SockJS endpoint."""

from collections.abc import Collection

import msgspec


class SockJsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and times; the defaults are Meteor's where it has one."""

    prefix: str = "/sockjs"
    max_message_bytes: int = 16_000_000
    """A longer frame closes the WebSocket (1009); a longer post is refused (413)."""
    response_bytes: int = 128 * 1024
    """A streaming response ends after so many bytes, lest the browser keep them all.

    So much may also wait for a client between two polls before the session is told to wait.
    """
    heartbeat_seconds: float = 45.0
    """A receiver that has got nothing for so long gets an ``h``."""
    disconnect_seconds: float = 60.0
    """A session without a receiver for so long is over."""
    max_sessions: int = 10_000
    """Sessions without WebSocket at a time; for further ones the answer is 503."""
    client_url: str = ""
    """Where the iframe page gets sockjs-client; empty: there is no iframe page."""
    frame_ancestors: Collection[str] = ()
    """Other origins whose pages may hold the iframe page."""

"""Which methods of one client have begun, over all its sessions: none may begin again."""

from collections import defaultdict

import msgspec

Call = tuple[str, bytes]
"""A method's name, and its parameters as they were written."""


class _Known(msgspec.Struct):
    session: str
    call: Call | None
    """None: not for sure."""
    until: int = 0
    """Up to how many method messages the server must remember it."""


class Runs:
    """Remembers what a server must, a little less long."""

    def __init__(self, remembered: int) -> None:
        """``remembered``: how many methods end, or wait to, until one may be forgotten."""
        self._remembered = remembered
        self.messages = 0
        """How many methods were asked for, the same one several times included."""
        self._asked: defaultdict[tuple[str, str], set[Call]] = defaultdict(set)
        self._running: dict[str, _Known] = {}
        self._ended: dict[str, _Known] = {}

    def asked(self, session: str, method_id: str, call: Call) -> None:
        """The client sent a method, for the first time or again."""
        self.messages += 1
        self._asked[session, method_id].add(call)
        known = self._ended.get(method_id)
        if known is not None and known.call != call:  # may be remembered in its place
            known.call = None

    def begins(self, session: str, method_id: str, name: str) -> None:
        """The server began to run a method."""
        assert method_id not in self._running, "runs twice at a time"
        calls = [call for call in self._asked[session, method_id] if call[0] == name]
        assert calls, "nobody asked for it"
        call = calls[0] if len(calls) == 1 else None
        known = self._ended.get(method_id)
        if known is not None and self.messages <= known.until:
            assert known.session != session, "runs twice in a session"
            assert None in (call, known.call) or call != known.call, "runs twice"
        self._running[method_id] = _Known(session, call)

    def ends(self, method_id: str) -> None:
        """A method has ended, or was cut short."""
        known = self._running.pop(method_id)
        known.until = self.messages + self._remembered
        self._ended[method_id] = known

    def session_ends(self) -> None:
        """Whatever runs is cut short."""
        for method_id in list(self._running):
            self.ends(method_id)

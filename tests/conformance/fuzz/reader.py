"""A client that counts as Meteor's does, and takes note of everything that it is told.

What is handed to a connection is under way until it is read, or lost with the connection.
Over all connections of a session, what is read must be what was sent, in order, with
nothing left out and nothing twice; only each connection's ``connected`` is its own.
"""

import json
from collections import Counter, deque
from typing import Any, Final

from shared.rpc.ejson import Ejson
from shared.rpc.object_id import OBJECT_ID
from tests.conformance.fuzz.view_model import Seen

_EJSON = Ejson([OBJECT_ID])
_UNCOUNTED: Final = ("ping", "pong")
_REFUSED: Final = ("busy", 400, 404)
"""The errors of methods that never began."""
_UNMERGED: Final = ("plain", "events")


class Numbered:
    """What a session has sent, as its client counts; and what it must send once more."""

    def __init__(self, session_id: str) -> None:
        self.texts: list[bytes] = []
        """The first one has the number 1."""
        self.times: list[float] = []
        """When each of them was sent."""
        self._welcome = json.dumps(
            {"msg": "connected", "session": session_id}, separators=(",", ":")
        ).encode()
        self._again: deque[bytes] = deque([self._welcome])

    @property
    def is_behind(self) -> bool:
        """Whether anything must be sent once more."""
        return bool(self._again)

    def sent(self, text: bytes, now: float) -> None:
        """A text left the session: the one that must, if there is one."""
        if json.loads(text)["msg"] in _UNCOUNTED:
            return
        if self._again:
            assert text == self._again.popleft(), "another text than was lost"
        else:
            assert text != self._welcome, "welcome in between"
        self.texts.append(text)
        self.times.append(now)

    def resumed(self, count: int) -> None:
        """The session goes on after the first ``count``: the rest must be sent again."""
        assert 0 <= count <= len(self.texts), "nobody can have read so much"
        rest = (*self.texts[count:], *self._again)
        self._again = deque([self._welcome, *(text for text in rest if text != self._welcome)])
        del self.texts[count:], self.times[count:]

    def must_know(self, count: int, now: float, seconds: float) -> bool:
        """Whether all that follows the first ``count`` was sent within these seconds."""
        return count <= len(self.texts) and all(now - at < seconds for at in self.times[count:])


class Reader:
    """One session, as its client sees it."""

    def __init__(self, session_id: str) -> None:
        self.numbered = Numbered(session_id)
        self.count = 0
        """How many of them were read."""
        self.is_honest = True
        """Whether a pong that it sent followed what was sent before its ping."""
        self._under_way: deque[bytes] = deque()
        self._forget()

    def _forget(self) -> None:
        self.told: Counter[tuple[str, str]] = Counter()
        self.seen, self.many = Seen(), Seen()

    @property
    def is_behind(self) -> bool:
        """Whether there is something to read, or it was lost and must be sent once more."""
        return self.numbered.is_behind or self.count < len(self.numbered.texts)

    def missing_bytes(self, count: int) -> int:
        """How long the texts are that were sent after the first ``count``."""
        return sum(map(len, self.numbered.texts[count:]))

    def sent(self, texts: list[bytes], now: float) -> None:
        """The session handed these to the connection."""
        for text in texts:
            self.numbered.sent(text, now)
            self._under_way.append(text)

    def read(self, most: int) -> None:
        """Read so many of those under way, if there are as many."""
        for _ in range(min(most, len(self._under_way))):
            text = self._under_way.popleft()
            message = json.loads(text, parse_constant=_no_constant)
            self.count += message["msg"] not in _UNCOUNTED
            self._hear(message)

    def lose(self) -> None:
        """What is under way is lost with the connection."""
        self._under_way.clear()

    def resumed(self, count: int) -> None:
        """The session goes on after the first ``count``: the rest must be sent again."""
        self.numbered.resumed(count)
        self._under_way.clear()
        if count != self.count:  # it does not remember what it has read
            self.count = count
            self._forget()
            for text in self.numbered.texts:
                self._hear(json.loads(text))

    def _hear(self, message: dict[str, Any]) -> None:
        told = self.told
        match message:
            case {"msg": "connected" | "error" | "failed" | "ping" | "pong" as kind}:
                told[kind, ""] += 1
            case {"msg": "added" | "changed" | "removed"}:
                self._see(message)
            case {"msg": "result", "id": name}:
                assert not ("error" in message and "result" in message)
                told["result", name] += 1
                told["refused", name] += message.get("error", {}).get("error") in _REFUSED
            case {"msg": "updated", "methods": names}:
                told.update(("updated", name) for name in names)
            case {"msg": "ready", "subs": names}:
                told.update(("ready", name) for name in names)
            case {"msg": "nosub", "id": name}:
                told["nosub", name] += 1
            case _:
                raise AssertionError(f"not a message of a server: {message}")

    def _see(self, message: dict[str, Any]) -> None:
        kind, collection, wire_id = (message.pop(name) for name in ("msg", "collection", "id"))
        if collection in _UNMERGED:
            return
        fields = _EJSON.decode(message.get("fields", {}))
        seen = self.many if collection == "multi" else self.seen
        document_id = wire_id.removeprefix("-")
        cleared = message.get("cleared", [])
        if collection == "multi":
            known = seen.documents.get((collection, document_id), {})
            cleared = [name for name in cleared if name in known]
            if kind == "changed" and not fields and not cleared:
                return
        seen.apply(kind, collection, document_id, fields, cleared)


def _no_constant(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")

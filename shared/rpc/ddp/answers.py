"""The methods of one session: which are running, and what those that ended were answered.

Every method gets a ``result``, and an ``updated`` once the client has been sent all data
that the method's own writes changed (Meteor's write fence). ``updated`` goes first when no
write is pending, as Meteor has it.
"""

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.events import MethodCalled


class _Running(msgspec.Struct):
    """A method that still owes its client something."""

    handler: MethodCalled | None
    times: int = 1
    """How often its id was used."""
    writes: int = 0
    result: bytes | None = None
    """Its answer, when that has been sent but ``updated`` has not."""


class Answers:
    """Answers each method once for every time its id was used, and remembers how."""

    def __init__(
        self, send: Callable[[list[bytes]], None], *, remembered: int, remembered_bytes: int
    ) -> None:
        self._send = send
        self._remembered = remembered
        self._remembered_bytes = remembered_bytes
        self._running: dict[str, _Running] = {}
        self._answers: OrderedDict[str, list[bytes]] = OrderedDict()

    def begin(self, method_id: str, handler: MethodCalled | None) -> None:
        """A method begins; :meth:`repeat` has said that its id is new."""
        self._running[method_id] = _Running(handler)

    def repeat(self, method_id: str) -> bool:
        """If a method of that id is known, answer it once more, now or when it ends."""
        running = self._running.get(method_id)
        if running is not None:
            running.times += 1
            if running.result is not None:
                self._send([running.result])
            return True
        answers = self._answers.get(method_id)
        if answers is not None:
            self._send(answers)
        return answers is not None

    def answer(self, result: m.Result) -> None:
        """A method has ended."""
        running = self._running.get(result.id)
        if running is None:
            return
        text = m.encode(result)
        if running.writes:
            running.result = text
            self._send([text] * running.times)
        else:
            self._settle(result.id, [m.encode(m.Updated([result.id])), text], running.times)

    def begin_write(self, handler: MethodCalled) -> bool:
        """Hold ``updated`` back; False when it has been sent already."""
        running = self._running.get(handler.id)
        if running is None or running.handler is not handler:
            return False
        running.writes += 1
        return True

    def end_write(self, handler: MethodCalled) -> None:
        """All data of one write has been published."""
        running = self._running.get(handler.id)
        if running is None or running.handler is not handler:
            return
        running.writes -= 1
        if running.writes == 0 and running.result is not None:
            updated = m.encode(m.Updated([handler.id]))
            self._send([updated] * running.times)
            self._settle(handler.id, [running.result, updated], 0)

    def _settle(self, method_id: str, texts: list[bytes], times: int) -> None:
        del self._running[method_id]
        self._send(texts * times)
        if len(texts[0]) + len(texts[1]) <= self._remembered_bytes:
            self._answers[method_id] = texts
            if len(self._answers) > self._remembered:
                self._answers.popitem(last=False)

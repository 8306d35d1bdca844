"""The calls of a client whose callers wait: for an answer, and to hear how far it is."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from shared.rpc.ddp.events import MethodProgressed, MethodRaised, MethodReturned
from shared.rpc.ejson import UNDEFINED
from shared.rpc.session import call_back

OnProgress = Callable[[float, float | None, str], object]
"""``on_progress(done, total, note)``"""


class Calling:
    """Hands each answer to the one who waits for it."""

    def __init__(self) -> None:
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._watchers: dict[str, OnProgress] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def begin(self, call_id: str, on_progress: OnProgress | None) -> asyncio.Future[Any]:
        """Somebody waits; returns for what."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[call_id] = answer
        if on_progress is not None:
            self._watchers[call_id] = on_progress
        return answer

    def end(self, call_id: str) -> bool:
        """Nobody waits any more; whether there was no answer."""
        self._watchers.pop(call_id, None)
        return self._answers.pop(call_id, None) is not None

    def fail(self, call_id: str, error: Exception) -> None:
        """Let a call end with this error, if it has not ended."""
        answer = self._answers.get(call_id)
        if answer is not None and not answer.done():
            answer.set_exception(error)

    def act(self, event: MethodReturned | MethodRaised | MethodProgressed) -> None:
        """Something came for one of them."""
        match event:
            case MethodProgressed():
                if (watcher := self._watchers.get(event.id)) is not None:
                    call_back(functools.partial(watcher, event.done, event.total, event.note))
            case MethodRaised():
                self.fail(event.id, event.error)
                self._answers.pop(event.id, None)
            case MethodReturned():
                answer = self._answers.pop(event.id, None)
                if answer is not None and not answer.done():
                    answer.set_result(None if event.result is UNDEFINED else event.result)

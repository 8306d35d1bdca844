"""Answers to methods: once for every use of an id, and ``updated`` behind its writes."""

from msgspec import Raw

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.answers import Answers
from shared.rpc.ddp.events import MethodCalled

RESULT = m.Result("1", result=Raw(b"5"))
RESULT_TEXT = '{"msg":"result","id":"1","result":5}'
UPDATED = '{"msg":"updated","methods":["1"]}'


class Sent:
    def __init__(self, remembered: int = 4) -> None:
        self.texts: list[str] = []
        self.answers = Answers(
            lambda texts: self.texts.extend(text.decode() for text in texts),
            remembered=remembered,
            remembered_bytes=100,
        )
        self.call = MethodCalled("1", "m", [], None)

    def take(self) -> list[str]:
        texts, self.texts = self.texts, []
        return texts

    def begin(self) -> Answers:
        assert not self.answers.repeat("1")
        self.answers.begin("1", self.call)
        return self.answers


def test_without_a_write_updated_goes_first() -> None:
    sent = Sent()
    sent.begin().answer(RESULT)
    assert sent.take() == [UPDATED, RESULT_TEXT]


def test_a_write_that_ended_in_time_changes_nothing() -> None:
    sent = Sent()
    answers = sent.begin()
    assert answers.begin_write(sent.call)
    answers.end_write(sent.call)
    assert sent.take() == []
    answers.answer(RESULT)
    assert sent.take() == [UPDATED, RESULT_TEXT]


def test_updated_waits_for_every_pending_write() -> None:
    sent = Sent()
    answers = sent.begin()
    assert answers.begin_write(sent.call)
    answers.answer(RESULT)
    assert sent.take() == [RESULT_TEXT]
    assert answers.begin_write(sent.call)  # writes may lead to writes
    answers.end_write(sent.call)
    assert sent.take() == []
    answers.end_write(sent.call)
    assert sent.take() == [UPDATED]
    assert not answers.begin_write(sent.call)
    answers.end_write(sent.call)
    assert sent.take() == []


def test_an_id_used_again_is_answered_again_at_any_time() -> None:
    sent = Sent()
    answers = sent.begin()
    answers.begin_write(sent.call)
    assert answers.repeat("1")
    assert sent.take() == []
    answers.answer(RESULT)
    assert sent.take() == [RESULT_TEXT] * 2
    assert answers.repeat("1")
    assert sent.take() == [RESULT_TEXT]
    answers.end_write(sent.call)
    assert sent.take() == [UPDATED] * 3
    assert answers.repeat("1")
    assert sent.take() == [RESULT_TEXT, UPDATED]


def test_a_write_of_a_forgotten_call_does_not_touch_its_successor() -> None:
    sent = Sent(remembered=0)
    answers = sent.begin()
    answers.answer(RESULT)
    sent.take()
    old, sent.call = sent.call, MethodCalled("1", "m", [], None)
    sent.begin()
    assert not answers.begin_write(old)
    answers.end_write(old)
    answers.answer(RESULT)
    assert sent.take() == [UPDATED, RESULT_TEXT]

"""Answers to methods: once for every use of an id, and ``updated`` behind its writes."""

from msgspec import Raw

from shared.rpc.ddp import messages as m
from shared.rpc.ddp.answers import Answers
from shared.rpc.ddp.events import MethodCalled
from shared.rpc.ddp.remembered import Remembered

RESULT = m.Result("1", result=Raw(b"5"))
RESULT_TEXT = '{"msg":"result","id":"1","result":5}'
UPDATED = '{"msg":"updated","methods":["1"]}'
PRINT = 7
"""The fingerprint of the method."""


class Sent:
    def __init__(self, max_count: int = 4, remembered: Remembered | None = None) -> None:
        self.texts: list[str] = []
        self.answers = Answers(
            lambda *texts: self.texts.extend(text.decode() for text in texts),
            remembered or Remembered(max_count=max_count, max_bytes=10_000),
        )
        self.call = MethodCalled("1", "m", [], None)

    def take(self) -> list[str]:
        texts, self.texts = self.texts, []
        return texts

    def begin(self) -> Answers:
        assert not self.answers.repeat("1", PRINT)
        self.answers.expect("1", PRINT)
        self.answers.begin(self.call)
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
    assert answers.repeat("1", PRINT)
    assert sent.take() == []
    answers.answer(RESULT)
    assert sent.take() == [RESULT_TEXT] * 2
    assert answers.repeat("1", PRINT)
    assert sent.take() == [RESULT_TEXT]
    answers.end_write(sent.call)
    assert sent.take() == [UPDATED] * 3
    assert answers.repeat("1", PRINT)
    assert sent.take() == [RESULT_TEXT, UPDATED]


def test_a_write_of_a_forgotten_call_does_not_touch_its_successor() -> None:
    sent = Sent(max_count=0)
    answers = sent.begin()
    answers.answer(RESULT)
    sent.take()
    old, sent.call = sent.call, MethodCalled("1", "m", [], None)
    sent.begin()
    assert not answers.begin_write(old)
    answers.end_write(old)
    answers.answer(RESULT)
    assert sent.take() == [UPDATED, RESULT_TEXT]


# After a resume: what was sent before reaches the client, only it can't know that yet


def test_a_running_method_that_is_sent_again_is_answered_once() -> None:
    sent = Sent()
    answers = sent.begin()
    answers.resumed()
    assert answers.repeat("1", PRINT)
    answers.resumed()
    assert answers.repeat("1", PRINT)
    answers.answer(RESULT)
    assert sent.take() == [UPDATED, RESULT_TEXT]


def test_a_finished_method_that_is_sent_again_is_not_answered_again() -> None:
    sent = Sent()
    answers = sent.begin()
    answers.answer(RESULT)
    sent.take()
    answers.resumed()
    assert answers.repeat("1", PRINT)
    assert sent.take() == []
    assert answers.repeat("1", PRINT)  # twice on one connection: it means it
    assert sent.take() == [UPDATED, RESULT_TEXT]


# In another session of the same client


def after(answers: Answers) -> Sent:
    return Sent(remembered=answers.end())


def test_the_next_session_answers_what_ended_in_the_one_before() -> None:
    first = Sent()
    first.begin().answer(RESULT)
    second = after(first.answers)
    assert second.answers.repeat("1", PRINT)
    assert second.take() == [UPDATED, RESULT_TEXT]
    third = after(second.answers)
    assert third.answers.repeat("1", PRINT)
    assert third.take() == [UPDATED, RESULT_TEXT]


def test_the_next_session_says_what_was_cut_short() -> None:
    first = Sent()
    first.begin()
    second = after(first.answers)
    assert second.answers.repeat("1", PRINT)
    updated, result = second.take()
    assert updated == UPDATED
    assert '"error":"interrupted"' in result


def test_a_result_that_was_sent_is_not_cut_short() -> None:
    first = Sent()
    answers = first.begin()
    answers.begin_write(first.call)
    answers.answer(RESULT)
    second = after(answers)
    assert second.answers.repeat("1", PRINT)
    assert second.take() == [RESULT_TEXT, UPDATED]


def test_what_had_not_begun_may_still_run() -> None:
    first = Sent()
    first.answers.expect("1", PRINT)
    assert not after(first.answers).answers.repeat("1", PRINT)


def test_another_call_under_the_same_id_runs() -> None:
    first = Sent()
    first.begin().answer(RESULT)
    second = after(first.answers)
    assert not second.answers.repeat("1", PRINT + 1)
    second.answers.expect("1", PRINT + 1)
    second.answers.begin(second.call)
    second.answers.answer(m.Result("1", result=Raw(b"6")))
    second.take()
    assert second.answers.repeat("1", PRINT + 1)
    assert second.take() == [UPDATED, RESULT_TEXT.replace("5", "6")]

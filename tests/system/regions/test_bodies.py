"""An answer is right to the last byte, or it is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.system.regions.bodies import Question, answer_to, is_cut_short, parse_answer, parse_question

QUESTIONS = st.builds(
    Question,
    nonce=st.from_regex(r"[0-9]{1,4}-[0-9]{1,6}", fullmatch=True),
    up=st.integers(0, 99),
    down=st.integers(0, 99),
)


@given(QUESTIONS)
def test_a_right_answer(question: Question) -> None:
    assert parse_question(question.line()) == question
    answer = parse_answer(question, answer_to(question, question.body(), "alice", "blog"))
    assert answer is not None
    assert (answer.account, answer.name) == ("alice", "blog")


@given(QUESTIONS, st.data())
def test_a_byte_that_is_another(question: Question, data: st.DataObject) -> None:
    right = answer_to(question, question.body(), "alice", "blog")
    where = right.index(b"\n") + 1
    if question.down:
        at = data.draw(st.integers(where, len(right) - 1))
        wrong = right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :]
        assert parse_answer(question, wrong) is None
        assert not is_cut_short(question, wrong)


@given(QUESTIONS, st.data())
def test_what_ends_too_early(question: Question, data: st.DataObject) -> None:
    right = answer_to(question, question.body(), "alice", "blog")
    short = right[: data.draw(st.integers(0, len(right) - 1))]
    assert parse_answer(question, short) is None
    assert is_cut_short(question, short)


def test_what_is_too_long() -> None:
    question = Question(nonce="1-1", up=0, down=10)
    long = answer_to(question, b"", "alice", "blog") + b"!"
    assert parse_answer(question, long) is None
    assert not is_cut_short(question, long)


def test_a_question_whose_body_came_wrongly() -> None:
    question = Question(nonce="1-1", up=10, down=10)
    assert parse_answer(question, answer_to(question, b"something!", "alice", "blog")) is None


def test_somebody_elses_answer() -> None:
    other = Question(nonce="1-2", up=0, down=0)
    assert parse_answer(Question(nonce="1-1", up=0, down=0), answer_to(other, b"", "alice", "blog")) is None

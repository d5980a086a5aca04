"""
What visitors ask and local servers answer: each byte is known beforehand, so none can be lost, swapped or another's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """*nonce* is the visit's own; *up* and *down* are the bytes of the two bodies."""

    nonce: str
    up: int
    down: int

    def body(self) -> bytes:
        return _stream("up", self.nonce, self.up)

    def line(self) -> str:
        """As one word, for a path or a line."""
        return f"{self.nonce}/{self.up}/{self.down}"


def parse_question(word: str) -> Question:
    """Raises ValueError."""
    nonce, up, down = word.split("/")
    return Question(nonce=nonce, up=int(up), down=int(down))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Who answers, and whether the question's body came as it was sent."""

    account: str
    name: str
    nonce: str
    whole: bool

    def encode(self, question: Question) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n" + _down(question)


def answer_to(question: Question, body: bytes, account: str, name: str) -> bytes:
    answer = Answer(account=account, name=name, nonce=question.nonce, whole=body == question.body())
    return answer.encode(question)


def parse_answer(question: Question, data: bytes) -> Answer | None:
    """None where *data* is not, to the last byte, what some local server answers to *question*."""
    head, _, rest = data.partition(b"\n")
    try:
        answer = Answer(**json.loads(head))
    except (ValueError, TypeError):
        return None
    is_right = answer.nonce == question.nonce and answer.whole and rest == _down(question)
    return answer if is_right else None


def is_cut_short(question: Question, data: bytes) -> bool:
    """Whether *data* is the beginning of an answer, and all of that is right: the connection ended too early."""
    _, newline, rest = data.partition(b"\n")
    return not newline or (len(rest) < question.down and _down(question).startswith(rest))


def _down(question: Question) -> bytes:
    return _stream("down", question.nonce, question.down)


def _stream(which: str, nonce: str, size: int) -> bytes:
    return hashlib.shake_128(f"{which} {nonce}".encode()).digest(size)

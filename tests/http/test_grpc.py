"""
Calls of gRPC, as an edge knows and answers them.
"""

from __future__ import annotations

import pytest

from pinggy.edge import answers
from pinggy.http.answer import Answer
from pinggy.http.grpc import answer_fields, is_call
from pinggy.http.head import parse_request


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("application/grpc", True),
        ("Application/gRPC", True),
        ("application/grpc+proto", True),
        ("application/grpc; charset=x", True),
        ("application/grpc-web", False),
        ("application/grpc-web+proto", False),
        ("application/json", False),
    ],
)
def test_calls_are_known_by_their_type(kind: str, call: bool) -> None:
    assert is_call(parse_request(f"POST /a HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n\r\n".encode())) is call


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answers.LOCKED, b"16"),
        (answers.NOT_ALLOWED, b"7"),
        (answers.NO_TUNNEL, b"12"),
        (answers.too_large(5), b"8"),
        (answers.too_fast(1), b"14"),
        (answers.DOWN, b"14"),
        (answers.TOO_SLOW, b"2"),
    ],
)
def test_answers_are_a_status_of_grpc_and_a_sentence(answer: Answer, code: bytes) -> None:
    fields = dict(answer_fields(answer))
    assert fields[b":status"] == b"200"
    assert fields[b"content-type"] == b"application/grpc"
    assert fields[b"grpc-status"] == code
    assert answer.happened.replace("`", "").encode() in fields[b"grpc-message"]


def test_what_an_answer_adds_to_its_head_stays_there() -> None:
    assert dict(answer_fields(answers.FULL))[b"retry-after"] == b"5"

"""
Each answer of the edge: what it says, to whom, and that no two are one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pinggy.edge import answers
from pinggy.http.accept import Medium
from pinggy.http.answer import Answer
from pinggy.http.malformed import Malformed
from pinggy.http.pages import content_of

LIST = Path(__file__).parents[2] / "docs" / "answers.rst"

WITHOUT_A_WORD = [value for value in vars(answers).values() if isinstance(value, Answer)]
WITH_ONE = [
    answers.silent(60),
    answers.too_many_tries(7.2),
    answers.too_fast(0.3),
    answers.too_large(10 * 2**20),
    answers.malformed(Malformed("The request has two Host headers.")),
    answers.malformed(Malformed("The URL of the request is too long: 8192 bytes at the most.", 414)),
    answers.malformed(Malformed("The request's head is too large: 16384 bytes at the most.", 431)),
    answers.malformed(Malformed("The method of the request is not known here.", 501)),
    answers.malformed(Malformed("Only HTTP/1.1 and HTTP/1.0 are spoken here.", 505)),
]
ALL = [*WITHOUT_A_WORD, *WITH_ONE]


def test_each_has_a_code_of_its_own() -> None:
    codes = {each.code: each.status for each in ALL}
    assert codes == {
        "no-tunnel": 404,
        "no-web": 404,
        "tunnel-ended": 503,
        "tunnel-full": 503,
        "tunnel-moving": 503,
        "local-server-refused": 502,
        "local-server-closed": 502,
        "local-server-nonsense": 502,
        "local-server-no-h2": 502,
        "local-server-reset": 502,
        "local-server-busy": 503,
        "no-upgrade": 501,
        "local-server-tls": 502,
        "local-server-silent": 504,
        "https-only": 301,
        "locked": 401,
        "not-allowed": 403,
        "misdirected": 421,
        "too-many-tries": 429,
        "too-fast": 429,
        "too-slow": 408,
        "too-large": 413,
        "malformed": 400,
        "url-too-long": 414,
        "head-too-large": 431,
        "unknown-method": 501,
        "unknown-version": 505,
    }
    assert len(codes) == len(ALL)
    assert len({each.title for each in ALL}) == len(ALL)


@pytest.mark.parametrize("answer", ALL, ids=lambda answer: answer.code)
def test_each_says_in_each_medium_what_happened_and_what_its_owner_can_do(answer: Answer) -> None:
    for sentence in (answer.happened, answer.hint):
        assert sentence.isascii()
        assert sentence.endswith(".")
        assert sentence.count("`") % 2 == 0
    line = content_of(answer, Medium.LINE)[1].decode()
    said = json.loads(content_of(answer, Medium.JSON)[1])
    assert (said["status"], said["error"]) == (answer.status, answer.code)
    assert line == f"{said['message']} Is it yours? {said['hint']}\n"
    page = content_of(answer, Medium.PAGE)[1]
    assert f"<title>{answer.status} ".encode() in page
    assert answer.phrase.encode() in page
    assert len(page) < 4096


def test_a_502_tells_what_the_local_server_did() -> None:
    lines = [
        content_of(each, Medium.LINE)[1].decode()
        for each in (answers.DOWN, answers.CLOSED, answers.NONSENSE, answers.TLS_FAILED, answers.silent(30))
    ]
    for line, said in zip(
        lines,
        ("refused the connection", "without an answer", "not HTTP", "not speak TLS", "silent for 30 seconds"),
        strict=True,
    ):
        assert said in line
        assert sum(said in each for each in lines) == 1


@pytest.mark.parametrize(("seconds", "said"), [(1, "1 second."), (60, "60 seconds."), (0.5, "0.5 seconds.")])
def test_for_how_long(seconds: float, said: str) -> None:
    assert answers.silent(seconds).happened.endswith(said)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (1, "1 byte at"),
        (1500, "1500 bytes at"),
        (1024, "1 KiB at"),
        (10 * 2**20, "10 MiB at"),
        (2**30, "1 GiB at"),
        (1536 * 2**20, "1536 MiB at"),
    ],
)
def test_how_much(limit: int, said: str) -> None:
    assert said in answers.too_large(limit).happened


@pytest.mark.parametrize(("seconds", "said"), [(0, "1"), (0.2, "1"), (1, "1"), (1.1, "2"), (30, "30")])
def test_when_to_come_again_is_said_in_whole_seconds(seconds: float, said: str) -> None:
    for make in (answers.too_fast, answers.too_many_tries):
        assert make(seconds).headers == (("Retry-After", said),)


def test_who_may_come_again_is_told_when() -> None:
    for each in (answers.FULL, answers.MOVING):
        assert dict(each.headers)["Retry-After"].isdigit()


def test_the_docs_list_them_as_they_are() -> None:
    entries = re.findall(r"^([0-9]{3} ``.*``)\n((?:    .*\n)+)", LIST.read_text(), re.MULTILINE)
    assert {head: " ".join(text.split()) for head, text in entries} == {
        f"{each.status} ``{each.code}``": f"{each.happened} Is it yours? {each.hint}".replace("`", "``") for each in ALL
    }

"""
The answers of the edge, in each medium.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.http.accept import Medium
from pinggy.http.answer import Answer, Stop
from pinggy.http.page import CONTENT_SECURITY_POLICY
from pinggy.http.pages import content_of, response_of

ANSWER = Answer(
    status=404,
    code="no-shop",
    title="No shop",
    happened="There is no `shop` here.",
    hint="Open it by `-R`, & soon.",
    stop=Stop.TUNNEL,
    headers=(("Retry-After", "3"),),
)


class Read(HTMLParser):
    """The elements of a page, the addresses in it, and the text of each element up to the next tag."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.addresses: list[str] = []
        self.text: dict[str, str] = {}
        self.whole = ""
        self.feed(page.decode("ascii"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "style")]

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self.elements[-1] if self.elements else "", data)
        self.whole += data


def test_a_line() -> None:
    headers, content = content_of(ANSWER, Medium.LINE)
    assert content == b"There is no shop here. Is it yours? Open it by -R, & soon.\n"
    assert headers == (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
        ("Retry-After", "3"),
    )


def test_json() -> None:
    headers, content = content_of(ANSWER, Medium.JSON)
    assert json.loads(content) == {
        "status": 404,
        "error": "no-shop",
        "message": "There is no shop here.",
        "hint": "Open it by -R, & soon.",
    }
    assert dict(headers)["Content-Type"] == "application/json"
    assert dict(headers)["Content-Length"] == str(len(content))
    assert dict(headers)["Vary"] == "Accept"


def test_a_page() -> None:
    headers, content = content_of(ANSWER, Medium.PAGE)
    read = Read(content)
    assert dict(headers)["Content-Type"] == "text/html; charset=utf-8"
    assert dict(headers)["Content-Length"] == str(len(content))
    assert content.startswith(b'<!doctype html>\n<html lang="en">')
    assert read.text["title"] == "404 No shop"
    assert read.text["h1"] == "No shop"
    assert "There is no shop here." in read.whole
    assert "Open it by -R, & soon." in read.whole
    assert b"<code>-R</code>" in content
    assert len(content) < 4096


def test_a_page_says_how_far_the_request_came() -> None:
    content = content_of(ANSWER, Medium.PAGE)[1].decode()
    said = re.findall(r"<li[^>]*>(.*?)</li>", content)
    assert [re.sub(r"<.*?>", "", each) for each in said] == [
        "You: passed",
        "Edge: passed",
        "Tunnel: stopped here",
        "Local server: not reached",
    ]


def test_a_page_loads_nothing_and_its_policy_allows_nothing_but_its_style() -> None:
    headers, content = content_of(ANSWER, Medium.PAGE)
    read = Read(content)
    assert read.addresses == ["data:,"]
    assert not {"script", "img", "iframe", "form", "a", "base", "object"} & set(read.elements)
    (style,) = re.findall(rb"<style>(.*?)</style>", content, re.DOTALL)
    assert b"url(" not in style
    assert b"@import" not in style
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert dict(headers)["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; " + f"style-src 'sha256-{digest}'"
    ) == CONTENT_SECURITY_POLICY


@given(*([st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)] * 4))
def test_whatever_an_answer_says_is_text(code: str, title: str, happened: str, hint: str) -> None:
    plain = content_of(ANSWER, Medium.PAGE)[1]
    said = Answer(status=404, code=code, title=title, happened=happened, hint=hint, stop=Stop.TUNNEL)
    read = Read(content_of(said, Medium.PAGE)[1])
    assert [each for each in read.elements if each != "code"] == [
        each for each in Read(plain).elements if each != "code"
    ]
    for each in (code, title, happened, hint):
        assert re.sub("`([^`]*)`", r"\1", each) in read.whole
    assert json.loads(content_of(said, Medium.JSON)[1])["message"] == happened.replace("`", "")
    assert content_of(said, Medium.LINE)[1].decode().count("\n") == 1


def test_markup_in_an_answer_is_shown_and_not_followed() -> None:
    bad = "</title></style><script>alert(1)</script><img src=x onerror='alert(1)'> `<b>`"
    said = Answer(status=404, code=bad, title=bad, happened=bad, hint=bad, stop=Stop.TUNNEL)
    content = content_of(said, Medium.PAGE)[1]
    assert b"<script" not in content
    assert b"<img" not in content
    assert b"<code>&lt;b&gt;</code>" in content


@pytest.mark.parametrize("medium", Medium)
def test_in_http_1(medium: Medium) -> None:
    headers, content = content_of(ANSWER, medium)
    head, _, body = response_of(ANSWER, medium).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 404 Not Found"
    assert [tuple(line.split(": ", 1)) for line in lines[1:]] == [*headers, ("Connection", "close")]
    assert body == content


@pytest.mark.parametrize("medium", Medium)
def test_to_head_it_is_the_head_alone(medium: Medium) -> None:
    whole = response_of(ANSWER, medium, connection="keep-alive")
    assert response_of(ANSWER, medium, bodiless=True, connection="keep-alive") == whole[: whole.index(b"\r\n\r\n") + 4]


def test_the_phrase_is_that_of_rfc_9110_whatever_python_says() -> None:
    too_large = Answer(status=413, code="x", title="x", happened="x", hint="x", stop=Stop.VISITOR)
    assert response_of(too_large, Medium.LINE).startswith(b"HTTP/1.1 413 Content Too Large\r\n")


@pytest.mark.parametrize("medium", Medium)
def test_what_has_been_made_once_is_not_made_again(medium: Medium) -> None:
    """Whatever its headers say."""
    first = content_of(ANSWER, medium)[1]
    assert content_of(ANSWER.having(("WWW-Authenticate", 'Basic realm="x"')), medium)[1] is first

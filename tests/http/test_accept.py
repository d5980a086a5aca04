"""
In which medium an answer of the edge is given, by Accept.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.http.accept import Medium, medium_for

NAMES = {Medium.PAGE: "text/html", Medium.JSON: "application/json", Medium.LINE: "text/plain"}


def test_what_is_too_long_to_be_read_is_not() -> None:
    assert accepting("text/html," + "a/a," * 200) is Medium.PAGE
    assert accepting("text/html," + "a/a," * 4000) is Medium.LINE
    assert accepting(*["text/html"] * 200) is Medium.LINE


def accepting(*values: str) -> Medium:
    return medium_for(tuple(("Accept", value) for value in values))


@pytest.mark.parametrize(
    "accept",
    [
        # Chromium, Firefox, Safari: a page is opened.
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
        "application/signed-exchange;v=b3;q=0.7",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        # lynx, w3m, links
        "text/html, text/plain, text/sgml, text/css, application/xhtml+xml, */*;q=0.01",
        "text/html, text/*;q=0.5, image/*, application/*",
        "TEXT/HTML",
        "text/html;charset=utf-8",
        "text/html;level=1;q=0.7, */*;q=0.5",
        'text/html;title="a, b;q=0.1 \\" c", application/json;q=0.9',
        "application/json;q=0.5, text/html ; q=0.501",
    ],
)
def test_who_would_rather_read_a_page_gets_one(accept: str) -> None:
    assert accepting(accept) is Medium.PAGE


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/json, text/plain, */*",  # axios
        "application/json, text/javascript, */*; q=0.01",  # jQuery
        "application/json;q=0.9, */*;q=0.8",
        "application/problem+json",
        "application/vnd.api+json; charset=utf-8",
        "application/ld+json, text/html;q=0.9",
        "application/*",
        "application/json, text/html",
        "text/html;q=0, application/json;q=0.1",
    ],
)
def test_a_program_gets_json(accept: str) -> None:
    assert accepting(accept) is Medium.JSON


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",  # curl, wget, fetch()
        "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
        "text/css,*/*;q=0.1",
        "text/event-stream",
        "text/*",
        "text/plain",
        "text/plain, text/html;q=0.9",
        "text/html;q=0.2, */*",
        "application/json;q=0.2, */*;q=0.3",
        "application/xhtml+xml",
        "text/html;q=0",
        "*/*;q=0",
        "",
        ", ,",
        "text/html;q=2",
        "text/html;q=0.1234",
        "text/html;q=-1",
        "text/html;q=",
        "text/html;q",
        "text/html q=1",
        "text",
        "*",
        "*/html",
        "text/html/json",
        '"text/html, application/json',
        'text/html;a="b, application/json',
    ],
)
def test_all_others_get_a_line(accept: str) -> None:
    assert accepting(accept) is Medium.LINE


def test_nothing_said_is_a_line() -> None:
    assert medium_for((("Host", "x"), ("Accept-Language", "text/html"))) is Medium.LINE


def test_several_headers_are_one_list() -> None:
    assert accepting("*/*;q=0.1", "text/html") is Medium.PAGE
    assert medium_for((("ACCEPT", "text/html;q=0.1"), ("accept", "application/json"))) is Medium.JSON


@given(st.permutations(list(Medium)), st.lists(st.integers(1, 1000), min_size=3, max_size=3, unique=True), st.data())
def test_the_highest_weight_wins_in_whatever_order(
    media: list[Medium], weights: list[int], data: st.DataObject
) -> None:
    space = st.sampled_from(["", " ", "\t", "  "])

    def element(medium: Medium, weight: int) -> str:
        name = data.draw(st.sampled_from([NAMES[medium], NAMES[medium].upper(), NAMES[medium].title()]))
        q = data.draw(st.sampled_from(["q", "Q"]))
        said = f"{weight / 1000:.3f}" if weight < 1000 else data.draw(st.sampled_from(["1", "1.", "1.0", "1.000"]))
        return f"{data.draw(space)}{name}{data.draw(space)};{data.draw(space)}{q}={said}{data.draw(space)}"

    offered = list(zip(media, weights, strict=True))
    best = max(offered, key=lambda each: each[1])[0]
    # What names none of ours changes nothing.
    others = data.draw(st.lists(st.sampled_from(["image/png", "*/*;q=0", "", "nonsense", "audio/*;q=0.3", "a/b;c"])))
    elements = data.draw(st.permutations([*(element(*each) for each in offered), *others]))
    assert accepting(",".join(elements)) is best


@given(st.text(st.characters(max_codepoint=255)) | st.text(st.sampled_from('*/;,="\\q01. texhmlapicjson+')))
def test_whatever_is_said_there_is_an_answer(accept: str) -> None:
    assert accepting(accept) in Medium


@pytest.mark.parametrize("said", ['"\\', '"', "\\", ",", ";", "a/b;", "text/html;q=0.", '"a"'])
def test_however_much_is_said(said: str) -> None:
    """What takes its length squared to read would take minutes."""
    assert accepting(said * 200_000) is Medium.LINE

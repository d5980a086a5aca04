from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.tunnel.names import (
    label_of_host,
    normal_host,
    offered_label,
    parse_label,
    port_label,
    random_label,
)
from pinggy.tunnel.refusals import MalformedName, NameNotOffered


@pytest.mark.parametrize("label", ["a", "my-app", "0", "a" * 63, "x-1-y"])
def test_a_label_of_letters_digits_and_inner_hyphens_is_offered(label: str) -> None:
    assert offered_label(label, set(), set()) == label


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("a" * 64, "too long"),
        ("-a", "not well formed"),
        ("a-", "not well formed"),
        ("a.b", "not well formed"),
        ("..", "not well formed"),
        ("a/b", "not well formed"),
        ("a b", "not well formed"),
        ("a\n", "not well formed"),
        ("a\x00", "not well formed"),
        ("MyApp", "write myapp"),
        ("bücher", "plain ASCII"),
        ("xn--bcher-kva", "plain ASCII"),
    ],
)
def test_what_is_no_label_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(MalformedName, match=why):
        parse_label(text)


@pytest.mark.parametrize(
    "label",
    ["www", "mail", "wpad", "localhost", "ns1", "nsfw", "_dmarc", "*", "tcp-20001", "WWW", "eu"],
)
def test_the_labels_of_the_zone_are_never_offered(label: str) -> None:
    with pytest.raises(NameNotOffered):
        offered_label(label, {"eu"}, set())


def test_the_operators_own_list_is_not_offered() -> None:
    with pytest.raises(NameNotOffered, match="billing"):
        offered_label("billing", set(), {"billing"})


def test_random_labels_are_offered_and_differ() -> None:
    labels = {random_label() for _ in range(500)}
    assert len(labels) == 500
    for label in labels:
        assert offered_label(label, set(), set()) == label


def test_the_label_of_a_port_is_a_label() -> None:
    assert parse_label(port_label(20001)) == "tcp-20001"


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("Blog.A.Example", "blog.a.example"),
        ("blog.a.example:8443", "blog.a.example"),
        ("blog.a.example.", "blog.a.example"),
        ("blog.a.example.:80", "blog.a.example"),
        ("[::1]:80", "[::1]"),
        ("", ""),
    ],
)
def test_hosts_are_compared_without_port_case_and_final_dot(host: str, normal: str) -> None:
    assert normal_host(host) == normal


@pytest.mark.parametrize(
    ("host", "label"),
    [
        ("blog.a.example", "blog"),
        ("a.example", None),
        ("x.blog.a.example", None),
        ("blog.b.example", None),
        (".a.example", None),
        ("bloga.example", None),
    ],
)
def test_only_hosts_right_under_the_domain_have_a_label(host: str, label: str | None) -> None:
    assert label_of_host(host, "a.example") == label


@given(st.text(max_size=80))
def test_any_text_is_a_label_or_a_sentence(text: str) -> None:
    try:
        assert parse_label(text) == text
    except MalformedName as refusal:
        assert refusal.text.isascii()
        assert refusal.text.isprintable()

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.dns.rrsets import address_records, parse_record, parse_records


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("www A 127.0.0.1", "www.a.example. A 127.0.0.1"),
        ("@ AAAA ::1", "a.example. AAAA ::1"),
        ("*.x CNAME y", "*.x.a.example. CNAME y.a.example."),
        ("x CNAME y.example.org.", "x.a.example. CNAME y.example.org."),
        ('_acme TXT "two words" more', '_acme.a.example. TXT "two words" "more"'),
        ("full.a.example. mx 10 mail", "full.a.example. MX 10 mail.a.example."),
        ("@ NS ns1", "a.example. NS ns1.a.example."),
    ],
)
def test_texts_become_records(text: str, shown: str) -> None:
    assert str(parse_record(text, "a.example")) == shown


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("www A", "not complete"),
        ("", "not complete"),
        ("www A 127.0.0.256", "cannot be read"),
        ("www A 127.0.0.1 127.0.0.2", "cannot be read"),
        ("www WHAT 1", "cannot be read"),
        ("a..b A 127.0.0.1", "cannot be read"),
        ("www.b.example. A 127.0.0.1", "outside the zone"),
        ("sub NS ns1", "delegate"),
        ("@ CNAME y", "cannot be a CNAME"),
        ("@ SOA ns1 h 1 1 1 1 1", "not served"),
        ("wẃw A 127.0.0.1", "printable ASCII"),
        ("www A 127.0.0.1\nx A 127.0.0.1", "printable ASCII"),
        (f"{'l' * 64} A 127.0.0.1", "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_a_sentence_that_names_it(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_record(text, "a.example")
    assert str(caught.value).startswith("The record '")


@given(st.text())
def test_no_other_error_than_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_record(text, "a.example")


def test_a_cname_stands_alone() -> None:
    with pytest.raises(ValueError, match="a CNAME stands alone"):
        parse_records(["x A 127.0.0.1", "x CNAME y"], "a.example")
    with pytest.raises(ValueError, match="a CNAME stands alone"):
        parse_records(["x CNAME z", "X CNAME y"], "a.example")


def test_addresses_of_both_families() -> None:
    records = address_records("eu", ["192.0.2.1", "2001:db8::1"], "a.example")
    assert [str(each) for each in records] == ["eu.a.example. A 192.0.2.1", "eu.a.example. AAAA 2001:db8::1"]
    with pytest.raises(ValueError, match="300"):
        address_records("eu", ["300.0.0.1"], "a.example")

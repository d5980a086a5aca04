from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.dns.powerdns.listing import Nonsense, Standing, parse_listing


def rrset(name: str, rdtype: str, *contents: str, disabled: bool = False) -> dict[str, Any]:
    return {"name": name, "type": rdtype, "records": [{"content": each, "disabled": disabled} for each in contents]}


def test_each_name_with_what_it_has() -> None:
    listed = [
        rrset("Blog.a.example.", "CNAME", "EU.a.example."),
        rrset("eu.a.example.", "AAAA", "2001:db8::1"),
        rrset("eu.a.example.", "A", "192.0.2.2", "192.0.2.1"),
        rrset("a.example.", "SOA", "x"),
        rrset("a.example.", "NS", "ns1.a.example."),
        rrset("a.example.", "LUA", 'AAAA "y"', 'A "ifportup(443, {\'192.0." "2.1\'})"'),
        rrset("off.a.example.", "A", "192.0.2.1", disabled=True),
    ]
    assert parse_listing(json.dumps({"rrsets": listed}).encode()) == {
        "blog.a.example": Standing(target="eu.a.example"),
        "eu.a.example": Standing(addresses=("192.0.2.1", "192.0.2.2", "2001:db8::1")),
        "a.example": Standing(lua=("A \"ifportup(443, {'192.0.2.1'})\"", 'AAAA "y"'), others=("NS", "SOA")),
    }


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"rrsets": 7}', b'{"rrsets": [{}]}', b'{"rrsets": [' * 9999])
def test_what_is_no_listing(body: bytes) -> None:
    with pytest.raises(Nonsense):
        parse_listing(body)


@given(
    st.dictionaries(
        st.sampled_from(["name", "type", "records"]),
        st.text() | st.integers() | st.lists(st.dictionaries(st.sampled_from(["content", "disabled"]), st.text())),
    )
)
def test_any_rrset_is_read_or_nonsense(each: dict[str, Any]) -> None:
    with suppress(Nonsense):
        parse_listing(json.dumps({"rrsets": [each]}).encode())

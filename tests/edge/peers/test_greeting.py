"""
What edges say to each other before a visitor's bytes: understood as it was said, and nothing odd believed.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Mode, Passage
from pinggy.edge.peers.greeting import EPOCH, HOP, MODE, Greeting, said, understood
from pinggy.http.proxyprotocol import AUTHORITY, Endpoint, HeaderReader, MalformedProxy, ProxyHeader, Tlv

DOMAIN = "a.example"
PASSAGE = Passage(name="blog", mode=Mode.HTTP, visitor=Peer("192.0.2.7", 40000), secure=True)


def read(data: bytes) -> ProxyHeader:
    header = HeaderReader().feed(data)
    assert header is not None
    return header


@given(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True),
    st.sampled_from(Mode),
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)),
    st.integers(0, 65535),
    st.integers(0, 2**63 - 1),
)
def test_a_greeting_is_understood_as_it_was_said(name: str, mode: Mode, host: object, port: int, epoch: int) -> None:
    mapped = getattr(host, "ipv4_mapped", None)
    passage = Passage(name=name, mode=mode, visitor=Peer(str(mapped or host), port), secure=mode is Mode.HTTP)
    sent = replace(passage, visitor=Peer(str(host), port))
    assert understood(read(said(sent, epoch, DOMAIN)), DOMAIN) == Greeting(passage, epoch)


@pytest.mark.parametrize(
    ("host", "came_to", "read_as"),
    [
        ("192.0.2.7", Endpoint("198.51.100.1", 443), Endpoint("198.51.100.1", 443)),
        ("2001:db8::7", Endpoint("2001:db8::1", 443), Endpoint("2001:db8::1", 443)),
        ("192.0.2.7", Endpoint("2001:db8::1", 443), Endpoint("2001:db8::1", 443)),
        ("::ffff:192.0.2.7", Endpoint("::ffff:198.51.100.1", 443), Endpoint("198.51.100.1", 443)),
        ("fe80::7%eth0", Endpoint("fe80::1%eth0", 443), Endpoint("fe80::1", 443)),
        ("192.0.2.7", None, None),
        ("2001:db8::7", None, None),
    ],
)
def test_what_a_visitor_came_to_is_told(host: str, came_to: Endpoint | None, read_as: Endpoint | None) -> None:
    sent = replace(PASSAGE, visitor=Peer(host, 40000, came_to))
    assert understood(read(said(sent, 7, DOMAIN)), DOMAIN).passage.visitor.came_to == read_as


def changed(type_: int, value: bytes | None) -> ProxyHeader:
    header = read(said(PASSAGE, 7, DOMAIN))
    kept = tuple(each for each in header.tlvs if each.type != type_)
    return replace(header, tlvs=kept if value is None else (*kept, Tlv(type_, value)))


@pytest.mark.parametrize("type_", [AUTHORITY, HOP, EPOCH, MODE])
def test_nothing_may_be_missing(type_: int) -> None:
    with pytest.raises(MalformedProxy):
        understood(changed(type_, None), DOMAIN)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (AUTHORITY, b"blog.b.example"),
        (AUTHORITY, b"x.blog.a.example"),
        (AUTHORITY, b"a.example"),
        (AUTHORITY, b"\xe9.a.example"),
        (HOP, b"\x00"),
        (HOP, b"\x03"),
        (HOP, b"\x01\x01"),
        (EPOCH, b"\x01"),
        (MODE, b"\x03"),
        (MODE, b"\x80"),  # TLS that was ended, and yet all that the visitor sent
        (MODE, b"\x82"),
        (MODE, b"\x01\x01"),
    ],
)
def test_what_is_odd_is_not_believed(type_: int, value: bytes) -> None:
    with pytest.raises(MalformedProxy):
        understood(changed(type_, value), DOMAIN)


def test_only_requests_pass_a_second_edge() -> None:
    assert understood(changed(HOP, b"\x02"), DOMAIN).passage.hops == 2
    for mode in (Mode.CONNECTION, Mode.TCP):
        twice = replace(PASSAGE, mode=mode, secure=False, hops=2)
        with pytest.raises(MalformedProxy):
            understood(read(said(twice, 7, DOMAIN)), DOMAIN)


def test_an_edge_that_speaks_for_itself_brings_nobody() -> None:
    with pytest.raises(MalformedProxy):
        understood(replace(changed(HOP, b"\x01"), source=None, destination=None), DOMAIN)
    with pytest.raises(MalformedProxy):
        understood(replace(changed(HOP, b"\x01"), datagram=True), DOMAIN)

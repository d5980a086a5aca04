"""
PROXY protocol v1: built and read, in pieces of any size; and whichever version comes.
"""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.http.proxyline import LONGEST_LINE, EitherReader, LineReader, written_as_line
from pinggy.http.proxyprotocol import Endpoint, MalformedProxy, ProxyHeader, written

V4 = ProxyHeader(source=Endpoint("192.0.2.7", 40000), destination=Endpoint("198.51.100.1", 443))
V6 = ProxyHeader(source=Endpoint("2001:db8::7", 40000), destination=Endpoint("2001:db8::1", 443))
ENDPOINTS: dict[Literal[4, 6], st.SearchStrategy[Endpoint]] = {
    4: st.builds(Endpoint, st.ip_addresses(v=4).map(str), st.integers(0, 65535)),
    6: st.builds(Endpoint, st.ip_addresses(v=6).map(str), st.integers(0, 65535)),
}
HEADERS = st.one_of(
    st.just(ProxyHeader()),
    *(st.builds(ProxyHeader, source=endpoint, destination=endpoint) for endpoint in ENDPOINTS.values()),
)


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (V4, b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"),
        (V6, b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n"),
        (ProxyHeader(), b"PROXY UNKNOWN\r\n"),
    ],
)
def test_a_header_as_the_spec_writes_it(header: ProxyHeader, line: bytes) -> None:
    assert written_as_line(header) == line
    assert LineReader().feed(line) == header


def test_addresses_of_two_families_are_said_in_ipv6() -> None:
    mixed = ProxyHeader(source=Endpoint("192.0.2.7", 40000), destination=Endpoint("2001:db8::1", 443))
    assert written_as_line(mixed) == b"PROXY TCP6 ::ffff:c000:207 2001:db8::1 40000 443\r\n"


def test_datagrams_have_no_line() -> None:
    assert written_as_line(ProxyHeader(source=V4.source, destination=V4.destination, datagram=True)) == (
        b"PROXY UNKNOWN\r\n"
    )


@given(HEADERS, st.sampled_from([written, written_as_line]), st.binary(max_size=40), st.data())
def test_either_version_is_read_back_however_it_is_cut(
    header: ProxyHeader, write: object, rest: bytes, data: st.DataObject
) -> None:
    assert callable(write)
    said = write(header) + rest
    cuts = sorted(data.draw(st.sets(st.integers(1, len(said) - 1), max_size=8)))
    reader, answer, behind = EitherReader(), None, b""
    for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True):
        if answer is None:
            answer = reader.feed(said[start:end])
            behind += reader.rest
        else:
            behind += said[start:end]
    assert answer == header
    assert behind == rest


def test_each_single_byte_is_enough_of_a_piece() -> None:
    reader = EitherReader()
    assert reader.feed(b"") is None
    line = written_as_line(V6)
    for byte in line[:-1]:
        assert reader.feed(bytes([byte])) is None
    assert reader.feed(line[-1:]) == V6
    assert reader.rest == b""


def test_the_longest_line_of_the_spec_is_read() -> None:
    longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    line = f"PROXY UNKNOWN {longest} {longest} 65535 65535\r\n".encode()
    assert len(line) == LONGEST_LINE
    assert LineReader().feed(line) == ProxyHeader()
    with pytest.raises(MalformedProxy, match="too long"):
        LineReader().feed(b"PROXY UNKNOWN " + b"x" * LONGEST_LINE)


def test_a_line_that_never_ends_is_not_waited_for() -> None:
    reader = LineReader()
    assert reader.feed(b"PROXY UNKNOWN " + b"x" * 92) is None
    with pytest.raises(MalformedProxy, match="too long"):
        reader.feed(b"x")


@pytest.mark.parametrize(
    "odd",
    [
        b"GET / HTTP/1.1\r\n",
        b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY TCP5 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 \u00b2\r\n".encode("latin-1"),
        b"PROXY TCP4 192.0.2.7\n198.51.100.1 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"\0",
    ],
)
def test_what_is_odd_is_refused(odd: bytes) -> None:
    with pytest.raises(MalformedProxy):
        EitherReader().feed(odd)


@given(st.binary(max_size=200))
def test_what_does_not_begin_as_a_header_is_refused(garbage: bytes) -> None:
    """Hypothesis knows the words that stand in our code: now and then it writes a header."""
    try:
        EitherReader().feed(garbage)
    except MalformedProxy:
        return
    beginnings = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")
    assert any(each.startswith(garbage) or garbage.startswith(each) for each in beginnings)

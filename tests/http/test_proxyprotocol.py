"""
PROXY protocol v2: built and read, in pieces of any size, and nothing odd let through.
"""

from __future__ import annotations

import ipaddress
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.http.proxyprotocol import (
    AUTHORITY,
    NOOP,
    SIGNATURE,
    Endpoint,
    HeaderReader,
    MalformedProxy,
    ProxyHeader,
    Tlv,
    written,
)

VERSIONS: tuple[Literal[4, 6], ...] = (4, 6)
PORTS = st.integers(0, 65535)
TLVS = st.lists(
    st.builds(Tlv, st.integers(0, 255).filter(lambda type_: type_ != NOOP), st.binary(max_size=60)),
    max_size=6,
    unique_by=lambda each: each.type,
).map(tuple)


def endpoints(version: Literal[4, 6]) -> st.SearchStrategy[Endpoint]:
    return st.builds(Endpoint, st.ip_addresses(v=version).map(str), PORTS)


def headers() -> st.SearchStrategy[ProxyHeader]:
    return st.one_of(
        *(
            st.builds(
                ProxyHeader,
                source=endpoints(version),
                destination=endpoints(version),
                datagram=st.booleans(),
                tlvs=TLVS,
            )
            for version in VERSIONS
        ),
        st.builds(ProxyHeader, tlvs=TLVS),
    )


def test_a_header_as_the_spec_draws_it() -> None:
    header = ProxyHeader(
        source=Endpoint("192.0.2.7", 40000),
        destination=Endpoint("198.51.100.1", 443),
        tlvs=(Tlv(AUTHORITY, b"blog.a.example"),),
    )
    assert written(header) == (
        b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"  # the signature
        b"\x21\x11\x00\x1d"  # version 2, PROXY; TCP over IPv4; 29 bytes follow
        b"\xc0\x00\x02\x07\xc6\x33\x64\x01\x9c\x40\x01\xbb"
        b"\x02\x00\x0eblog.a.example"
    )


@given(headers(), st.binary(max_size=40), st.data())
def test_what_is_written_is_read_back_however_it_is_cut(header: ProxyHeader, rest: bytes, data: st.DataObject) -> None:
    said = written(header) + rest
    cuts = sorted(data.draw(st.sets(st.integers(1, len(said) - 1), max_size=8)))
    pieces = [said[start:end] for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    reader = HeaderReader()
    behind = b""
    answer = None
    for piece in pieces:
        if answer is None:
            answer = reader.feed(piece)
            behind += reader.rest
        else:
            behind += piece
    assert answer == header
    assert behind == rest


def test_each_single_byte_is_enough_of_a_piece() -> None:
    header = ProxyHeader(source=Endpoint("2001:db8::7", 1), destination=Endpoint("2001:db8::1", 2))
    said = written(header)
    reader = HeaderReader()
    for byte in said[:-1]:
        assert reader.feed(bytes([byte])) is None
    assert reader.feed(said[-1:]) == header


def test_addresses_of_two_families_are_said_in_ipv6() -> None:
    header = ProxyHeader(source=Endpoint("192.0.2.7", 40000), destination=Endpoint("2001:db8::1", 443))
    read = HeaderReader().feed(written(header))
    assert read is not None
    assert read.source is not None
    address = ipaddress.ip_address(read.source.host)
    assert isinstance(address, ipaddress.IPv6Address)
    assert str(address.ipv4_mapped) == "192.0.2.7"


def test_what_only_fills_up_is_passed_over() -> None:
    noop = bytes([NOOP]) + b"\0\x02xx"
    read = HeaderReader().feed(head(body=b"\0" * 12 + noop + b"\x02\0\x01a" + noop))
    assert read is not None
    assert read.tlvs == (Tlv(AUTHORITY, b"a"),)


def head(command: int = 0x21, family: int = 0x11, body: bytes = b"\0" * 12, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return SIGNATURE + bytes([command, family]) + size.to_bytes(2, "big") + body


@pytest.mark.parametrize(
    "odd",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\r",
        head(command=0x11),
        head(command=0x22),
        head(command=0x2F),
        head(family=0x31, body=b"\0" * 216),
        head(family=0x00, body=b""),
        head(family=0x13),
        head(family=0x41),
        head(body=b"\0" * 11),
        head(family=0x21, body=b"\0" * 35),
        head(body=b"\0" * 12 + b"\x02\0"),
        head(body=b"\0" * 12 + b"\x02\0\x05abcd"),
        head(body=b"\0" * 12 + b"\x02\0\x01a" * 2),
        head(length=2048 - 15),
        head(length=65535),
    ],
)
def test_what_is_odd_is_refused(odd: bytes) -> None:
    with pytest.raises(MalformedProxy):
        HeaderReader().feed(odd)


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_awaited_and_nothing_else(garbage: bytes) -> None:
    reader = HeaderReader()
    try:
        answer = reader.feed(garbage)
    except MalformedProxy:
        return
    assert answer is None
    assert garbage == SIGNATURE[: len(garbage)]

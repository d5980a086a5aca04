from __future__ import annotations

import struct

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.message import Message
from hypothesis import given
from hypothesis import strategies as st

from pinggy.dns.reply import datagram_reply, stream_reply
from tests.dns.zones import small_zone

ZONE = small_zone().contents


def query(name: str = "eu.a.example", rdtype: str = "A", **options: int) -> Message:
    return dns.message.make_query(name, rdtype, **options)  # type: ignore[arg-type]


def over_udp(asked: Message) -> Message:
    reply = datagram_reply(asked.to_wire(), ZONE)
    assert reply is not None
    return dns.message.from_wire(reply)


@pytest.mark.parametrize(("payload", "most"), [(None, 512), (100, 512), (512, 512), (900, 900), (4096, 1232)])
def test_a_datagram_is_no_larger_than_asked_and_says_that_it_is_cut(payload: int | None, most: int) -> None:
    edns = {"use_edns": 0, "payload": payload} if payload else {}
    asked = query("big.a.example", "TXT", **edns)
    wire = datagram_reply(asked.to_wire(), ZONE)
    assert wire is not None
    assert len(wire) <= most
    reply = dns.message.from_wire(wire)
    assert reply.flags & dns.flags.TC
    assert (reply.edns == 0) == (payload is not None)
    assert payload is None or reply.payload == 1232


def test_a_stream_carries_the_whole() -> None:
    wire = stream_reply(query("big.a.example", "TXT").to_wire(), ZONE)
    assert wire is not None
    reply = dns.message.from_wire(wire)
    assert not reply.flags & dns.flags.TC
    assert len(reply.answer[0]) == 12


def test_a_later_edns_version_is_bad() -> None:
    reply = over_udp(query(use_edns=1))
    assert reply.rcode() == dns.rcode.BADVERS
    assert reply.edns == 0
    assert not reply.answer


def test_padding_is_not_returned_in_the_clear() -> None:
    asked = query(use_edns=0)
    asked.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.PADDING, b"\0" * 20)])
    wire = datagram_reply(asked.to_wire(), ZONE)
    assert wire is not None
    assert len(wire) < 100


def test_the_case_of_the_question_is_preserved() -> None:
    wire = datagram_reply(query("eU.A.exAMple").to_wire(), ZONE)
    assert wire is not None
    assert b"\x02eU\x01A\x07exAMple" in wire
    reply = dns.message.from_wire(wire)
    assert reply.answer[0].name.to_text() == "eU.A.exAMple."


def test_recursion_wanted_is_noted_and_not_available() -> None:
    flags = over_udp(query()).flags
    assert flags & dns.flags.RD
    assert not flags & dns.flags.RA


def test_a_response_and_less_than_a_header_are_met_with_silence() -> None:
    wire = dns.message.make_response(query()).to_wire()
    assert datagram_reply(wire, ZONE) is None
    assert datagram_reply(query().to_wire()[:11], ZONE) is None
    assert datagram_reply(b"", ZONE) is None


@pytest.mark.parametrize("opcode", [*range(1, 16)])
def test_other_opcodes_are_not_implemented(opcode: int) -> None:
    wire = bytearray(query().to_wire())
    wire[2] = opcode << 3
    reply = datagram_reply(bytes(wire), ZONE)
    assert reply == bytes(wire[:2]) + bytes([0x80 | opcode << 3, dns.rcode.NOTIMP]) + bytes(8)


@pytest.mark.parametrize(
    ("counts", "body"),
    [
        ((0, 0, 0, 0), b""),
        ((2, 0, 0, 0), b"\0\0\1\0\1" * 2),
        ((1, 0, 0, 0), b""),
        ((1, 0, 0, 0), b"\xc0\x0c\0\1\0\1"),  # a name that points to itself
        ((1, 0, 0, 0), b"\x3fshort"),
        ((1, 0, 0, 0), b"\0\0\1\0\1junk"),
        ((1, 1, 0, 0), b"\0\0\1\0\1\0\0\1\0\1\0\0\0\0\0\4\1\2\3\4"),
        ((1, 0, 0, 2), b"\0\0\1\0\1" + b"\0\0\x29\4\xd0\0\0\0\0\0\0" * 2),  # two OPT
    ],
)
def test_garbage_that_has_a_header_is_a_format_error(counts: tuple[int, ...], body: bytes) -> None:
    head = struct.pack("!6H", 4711, 0x0100, *counts)
    reply = datagram_reply(head + body, ZONE)
    assert reply == struct.pack("!6H", 4711, 0x8101, 0, 0, 0, 0)


@given(st.binary(max_size=300))
def test_garbage_never_raises(data: bytes) -> None:
    check(data)


@given(st.data())
def test_a_query_with_some_bytes_changed_never_raises(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["eu.a.example", "x.wild.a.example", "big.a.example", "no.a.example"]))
    rdtype = data.draw(st.sampled_from(["A", "ANY", "TXT", "SOA"]))
    wire = bytearray(query(name, rdtype, use_edns=0).to_wire())
    for _ in range(data.draw(st.integers(0, 6))):
        wire[data.draw(st.integers(2, len(wire) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(wire[: data.draw(st.integers(0, len(wire)))]))


@given(st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=30)), max_size=5), st.integers(0, 65535))
def test_edns_options_of_any_kind_never_raise(options: list[tuple[int, bytes]], payload: int) -> None:
    rdata = b"".join(struct.pack("!HH", kind, len(value)) + value for kind, value in options)
    wire = bytearray(query().to_wire())
    wire[11] = 1
    wire += b"\0" + struct.pack("!HHIH", 41, payload, 0, len(rdata)) + rdata
    check(bytes(wire))


def check(data: bytes) -> None:
    for reply in (datagram_reply(data, ZONE), stream_reply(data, ZONE)):
        if len(data) < 12 or data[2] & 0x80:
            assert reply is None
        else:
            assert reply is not None
            assert reply[:2] == data[:2]
            assert reply[2] & 0x80
    small = datagram_reply(data, ZONE)
    assert small is None or len(small) <= 1232

"""Packets of every suite: whole, in every split, changed on their way, at the bounds of their lengths."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.edge.ssh.packets.names import CIPHERS, MACS, Keys, make_opener, make_sealer
from pinggy.edge.ssh.packets.padding import Padding
from pinggy.edge.ssh.packets.reader import PacketReader
from pinggy.edge.ssh.packets.suites import LONGEST, BadPacket, BadTag, NullSealer, Sealer

SUITES: list[tuple[bytes, bytes | None]] = [
    *((cipher, None) for cipher, named in CIPHERS.items() if named.aead),
    *((cipher, mac) for cipher, named in CIPHERS.items() if not named.aead for mac in MACS),
]
KEYS = Keys(iv=bytes(range(64)), encryption=bytes(range(64, 128)), integrity=bytes(range(128, 192)))

every_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: b"+".join(filter(None, suite)).decode())


def sides(suite: tuple[bytes, bytes | None] | None) -> tuple[Sealer, PacketReader]:
    """One direction; None: before there are keys."""
    reader = PacketReader()
    if suite is None:
        return NullSealer(Padding()), reader
    reader.opener = make_opener(*suite, KEYS)
    return make_sealer(*suite, KEYS, Padding()), reader


def payloads(reader: PacketReader) -> list[bytes]:
    found = []
    while (payload := reader.next()) is not None:
        found.append(bytes(payload))
    return found


@given(
    suite=st.sampled_from([None, *SUITES]),
    messages=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 1500), max_size=8),
    first=st.sampled_from([0, 7, 2**32 - 2]),
)
def test_payloads_come_as_they_went_in_every_split(
    suite: Any, messages: list[bytes], cuts: list[int], first: int
) -> None:
    sealer, reader = sides(suite)
    reader.sequence = first
    wire = b"".join(sealer.seal((first + at) & 0xFFFFFFFF, (each,)) for at, each in enumerate(messages))
    found = []
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    for start, end in pairwise(edges):
        reader.feed(wire[start:end])
        found += payloads(reader)
    assert found == messages
    assert reader.sequence == (first + len(messages)) & 0xFFFFFFFF
    assert reader.waiting() == 0


@every_suite
def test_a_large_packet_byte_by_byte_and_its_parts_joined(suite: tuple[bytes, bytes | None]) -> None:
    sealer, reader = sides(suite)
    parts = (b"\x5e", b"head", memoryview(bytes(range(256)) * 130))
    wire = sealer.seal(0, parts)
    for at in range(len(wire) - 1):
        reader.feed(wire[at : at + 1])
        assert reader.next() is None
    reader.feed(wire[-1:])
    assert payloads(reader) == [b"".join(parts)]


def fill(reader: PacketReader) -> list[bytes]:
    """What is read when more and more comes, of which nothing was sealed. Raises `BadPacket`."""
    found = payloads(reader)
    while not found:
        # A changed length may say that more is to come: no more than the longest packet is waited for.
        assert reader.waiting() <= LONGEST + 1024
        reader.feed(bytes(4096))
        found = payloads(reader)
    return found


@given(suite=st.sampled_from(SUITES), data=st.data())
def test_no_changed_packet_gives_a_payload(suite: tuple[bytes, bytes | None], data: st.DataObject) -> None:
    sealer, reader = sides(suite)
    wire = bytearray(sealer.seal(0, (b"a secret of some length",)) + sealer.seal(1, (b"the next",)))
    first = len(wire) // 2
    at = data.draw(st.integers(0, first - 1))
    wire[at] ^= 1 << data.draw(st.integers(0, 7))
    reader.feed(bytes(wire))
    with pytest.raises(BadPacket):
        fill(reader)


@every_suite
def test_packets_that_are_swapped_or_left_out_are_found(suite: tuple[bytes, bytes | None]) -> None:
    sealer, reader = sides(suite)
    sealer.seal(0, (b"left out",))
    reader.feed(sealer.seal(1, (b"the second",)))
    with pytest.raises(BadPacket):
        fill(reader)


def test_a_wrong_tag_is_told_from_a_wrong_length() -> None:
    sealer, reader = sides((b"aes128-gcm@openssh.com", None))
    wire = bytearray(sealer.seal(0, (b"x",)))
    wire[-1] ^= 1
    reader.feed(bytes(wire))
    with pytest.raises(BadTag):
        reader.next()


def plain(length: int, padding: int, filled: int | None = None) -> bytes:
    return struct.pack(">LB", length, padding) + bytes((length if filled is None else filled) - 1)


@pytest.mark.parametrize(
    "packet",
    [
        plain(0, 4, 12),
        plain(1, 4, 12),
        plain(4, 4, 12),
        plain(11, 4),
        plain(13, 4),
        plain(LONGEST + 4, 4, 12),
        plain(2**32 - 4, 4, 12),
        plain(12, 0),
        plain(12, 3),
        plain(12, 11),
        plain(12, 255),
    ],
)
def test_a_length_or_a_padding_out_of_bounds_is_refused(packet: bytes) -> None:
    _, reader = sides(None)
    reader.feed(packet)
    with pytest.raises(BadPacket):
        reader.next()


def test_the_shortest_and_the_longest_packets_are_read() -> None:
    _, reader = sides(None)
    reader.feed(plain(12, 10))
    assert payloads(reader) == [b"\0"]
    reader.feed(plain(LONGEST - 4, 4))
    payload = reader.next()
    assert payload is not None
    assert len(payload) == LONGEST - 4 - 5


@given(suite=st.sampled_from([None, *SUITES]), garbage=st.binary(max_size=2000))
def test_garbage_is_refused_or_waited_for(suite: Any, garbage: bytes) -> None:
    _, reader = sides(suite)
    reader.feed(garbage)
    try:
        found = payloads(reader)
    except BadPacket:
        return
    assert suite is None or found == []
    assert reader.waiting() <= len(garbage)


@given(st.lists(st.integers(4, 255), max_size=300))
def test_padding_is_never_given_twice(lengths: list[int]) -> None:
    drawn: list[bytes] = []

    def draw(count: int) -> bytes:
        drawn.append(bytes(count))
        return struct.pack(">L", len(drawn)) * (count // 4)

    padding = Padding(draw)
    assert all(len(padding.take(length)) == length for length in lengths)
    assert sum(lengths) <= len(drawn) * 16 * 1024

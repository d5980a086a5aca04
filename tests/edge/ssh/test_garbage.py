"""What a stranger may send before and after the banner: the connection ends, without a traceback and alone."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.conch.ssh.common import NS
from twisted.internet.testing import StringTransportWithDisconnection

from tests.support.edges import EdgeInMemory
from tests.support.ssh_pair import CLIENT

BANNER = b"SSH-2.0-stranger\r\n"


class Wire(StringTransportWithDisconnection):
    def abortConnection(self) -> None:
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def setTcpKeepAlive(self, enabled: bool) -> None:
        pass


def said(pieces: list[bytes]) -> bool:
    """Whether the connection is over after a stranger has sent *pieces*."""
    edge = EdgeInMemory()
    protocol = edge.factory.buildProtocol(CLIENT)
    wire = Wire(peerAddress=CLIENT)
    wire.protocol = protocol
    protocol.makeConnection(wire)
    for piece in pieces:
        if wire.connected:
            protocol.dataReceived(piece)
    over = not wire.connected
    if not over:
        wire.loseConnection()
    edge.close()
    return over


def packet(payload: bytes) -> bytes:
    padding = 16 - (len(payload) + 5) % 8
    return struct.pack(">LB", len(payload) + 1 + padding, padding) + payload + bytes(padding)


KEXINIT = b"\x14" + bytes(16) + b"".join(NS(b"x") for _ in range(10)) + bytes(5)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"SSH-1.0-old\r\n"],
        [b"SSH-" + b"x" * 5000],
        [BANNER, b"\xff" * 8],
        [BANNER, struct.pack(">LB", 1, 255) + bytes(100)],
        [BANNER, struct.pack(">LB", 0, 0) + bytes(100)],
        [BANNER, packet(b"\x14")],
        [BANNER, packet(b"\x14" + bytes(15))],
        [BANNER, packet(b"\x14" + bytes(16) + struct.pack(">L", 0xFFFFFFFF))],
        [BANNER, packet(KEXINIT)],
        [BANNER, packet(b"\x1e" + NS(b"early key exchange"))],
        [BANNER, packet(b"\x15")],
        [BANNER, packet(b"\x01")],
    ],
    ids=lambda pieces: repr(pieces[-1][:12]),
)
def test_what_is_no_ssh_ends_the_connection(pieces: list[bytes]) -> None:
    assert said(pieces)


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5), st.booleans())
def test_any_bytes_are_survived(pieces: list[bytes], banner: bool) -> None:
    said([BANNER, *pieces] if banner else pieces)


@given(st.binary(max_size=100))
def test_any_packet_before_the_keys_is_survived(payload: bytes) -> None:
    said([BANNER, packet(payload)])


@given(at=st.integers(min_value=0, max_value=len(packet(KEXINIT)) - 1), bit=st.integers(min_value=0, max_value=7))
def test_a_flipped_bit_is_survived(at: int, bit: int) -> None:
    flipped = bytearray(packet(KEXINIT))
    flipped[at] ^= 1 << bit
    said([BANNER, bytes(flipped)])

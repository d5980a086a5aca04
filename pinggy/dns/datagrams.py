"""
DNS over UDP: a datagram in, at most one out.
"""

from __future__ import annotations

import contextlib

from twisted.internet.error import MessageLengthError
from twisted.internet.protocol import DatagramProtocol

from pinggy.dns.contents import Contents
from pinggy.dns.reply import datagram_reply

# Twisted cuts off what is longer: a question with every option that exists is far smaller.
LONGEST_QUESTION = 4096
# Bytes read before other transports of the reactor have their turn: some fifty questions.
_BYTES_A_TURN = 2048


class Datagrams(DatagramProtocol):
    noisy = False

    def __init__(self, zone: Contents) -> None:
        self._zone = zone

    def startProtocol(self) -> None:
        self.transport.maxThroughput = _BYTES_A_TURN  # type: ignore[union-attr]

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        reply = datagram_reply(datagram, self._zone)
        if reply is not None:
            # Datagrams are lost at times, and a forged sender (port 0, a broadcast) may be one that nobody can reach.
            with contextlib.suppress(OSError, MessageLengthError, ValueError):
                self.transport.write(reply, addr)  # type: ignore[union-attr]

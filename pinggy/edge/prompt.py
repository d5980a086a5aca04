"""
Small answers without a detour: what a socket takes at once need not wait for the next turn of the reactor.

Twisted's `write` puts bytes aside and asks the reactor to say when the socket takes them, which it nearly always does:
two system calls and a turn for nothing, a tenth of what a small response costs. Large bodies are better gathered.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.tcp import Connection

LARGEST = 16 * 1024


class Writes(Protocol):
    """A transport."""

    def write(self, data: bytes) -> None: ...


def write_promptly(transport: Writes, data: bytes) -> None:
    """As `transport.write`, in order with it."""
    if (
        len(data) <= LARGEST
        and isinstance(transport, Connection)
        and not (transport.dataBuffer or transport._tempDataBuffer)
        and transport.connected
        and not (transport.disconnecting or transport._writeDisconnecting)
    ):
        sent = transport.writeSomeData(data)
        # It is an exception where the connection is lost: then the reactor meets it, too, and says so.
        if isinstance(sent, int):
            data = data[sent:]
            if not data:
                return
    transport.write(data)

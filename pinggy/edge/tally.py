"""
What is counted of a tunnel.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """What a tunnel has carried since it began: bytes to the client, bytes from it, visitors; and those open now."""

    received: int = 0
    sent: int = 0
    visitors: int = 0
    open: int = 0

    def add(self, other: Tally) -> None:
        self.received += other.received
        self.sent += other.sent
        self.visitors += other.visitors
        self.open += other.open

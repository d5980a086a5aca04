"""
Names on their way from an old tunnel to its successor: the contract of that part of the ledger.

In the ledger the old tunnel is over at once, and the successor has the name by a higher epoch. But visitors come to the
old one until the successor's record stands: so its edge is told to close it when the successor is live, or is over
without having been.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from pinggy.tunnel.refusals import Refusal
from pinggy.wire.orders import GRACE, Close


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """The old *tunnel* at *edge* shall be closed for the *reason*."""

    tunnel: str
    edge: str
    reason: Refusal

    def close(self) -> Close:
        return Close(tunnel=self.tunnel, code=self.reason.code, text=self.reason.text, grace=GRACE)


class HandoverBook(Protocol):
    """Handovers, as one transaction sees them. Each is finished, or dropped, once."""

    async def hand_over(self, old: Handover, successor: str) -> None:
        """
        *old*, which has just ended, is to be closed when *successor* is live. What waited for *old* itself waits for
        *successor* from now on.
        """
        ...

    async def handovers(self, successor: str) -> tuple[Handover, ...]:
        """Those that wait for *successor*, by their ids."""
        ...

    async def is_handed_over(self, tunnel: str, edge: str) -> bool:
        """Whether *tunnel*, of *edge*, is over but not to be closed yet."""
        ...

    async def finish_handovers(self, successors: Collection[str]) -> tuple[Handover, ...]:
        """Take those out that wait for *successors*: they are to be closed now."""
        ...

    async def finish_left_handovers(self) -> tuple[Handover, ...]:
        """Take those out whose successor is no live tunnel any more."""
        ...

    async def drop_handovers(self, edge: str, tunnel: str | None = None) -> None:
        """*edge* has closed *tunnel*, or whatever it had."""
        ...

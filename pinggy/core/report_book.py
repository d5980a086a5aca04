"""
What edges have and what they said of it: the contract of that part of the ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from pinggy.tunnel.refusals import Refusal

# Sentences that are kept of the differences of one report.
MOST_NOTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldName:
    """Forwarding *number* of a live *tunnel*: it has *name* by *epoch* since *age* seconds; *live*: it was said so."""

    tunnel: str
    number: int
    name: str
    epoch: int
    live: bool
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """A tunnel that is over for *reason*, since *ago* seconds."""

    reason: Refusal
    ago: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """
    What an edge has said last: that it has *held* names, *age* seconds ago; of the *differences* to the ledger, each a
    sentence, the first ones.
    """

    edge: str
    age: float
    held: int
    differences: tuple[str, ...] = ()


class ReportBook(Protocol):
    """What reports are compared with, and what they said, as one transaction sees it."""

    async def held_at(self, edge: str, instance: str, after: str, upto: str | None) -> tuple[HeldName, ...] | None:
        """
        What live tunnels of *edge* have of the names after *after* up to *upto* (None: to the last), by the order of
        characters. None where it runs as another instance.
        """
        ...

    async def fates(self, edge: str, tunnels: Collection[str]) -> dict[str, Fate | None]:
        """
        Those of *tunnels* that are not live at *edge*; None for one of which nothing is known there. One that is handed
        over, and not to be closed yet, is over just now.
        """
        ...

    async def note_report(self, edge: str, held: int, differences: Sequence[str], more: bool) -> None:
        """Keep what *edge* has said; with *more* it belongs to what was noted last."""
        ...

    async def reported(self) -> tuple[Reported, ...]:
        """What each edge has said last."""
        ...

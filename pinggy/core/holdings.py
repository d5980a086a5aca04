"""
What an edge says that it holds against what the ledger says that it has.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pinggy.core.report_book import HeldName
from pinggy.wire.messages import Holding

# Seconds after a grant in which its edge may not serve it yet, by what it says: the answer to `authorize` (15 at the
# most), the record (5), the probe (3) and `live` (15) come before, and the report has been on its way (15).
OPENING = 60.0

# A name, and the epoch by which somebody has it.
Name = tuple[str, int]
# Who has it, too: never given twice.
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """*strange* is held and not in the ledger, *missed* is live there and not held."""

    strange: tuple[Holding, ...]
    missed: tuple[HeldName, ...]


def compare(reported: Collection[Holding], ledger: Collection[HeldName]) -> Compared:
    """
    The differences, but for what is on its way: a grant that is young or not live yet, and a name that its own tunnel
    is about to get by a newer epoch. Were the opening of a name missed, and then its release, it would be missed twice.
    """
    held = {key_of(each) for each in reported}
    known = {key_of(each) for each in ledger}
    coming = {(each.tunnel, each.name): each.epoch for each in ledger if not each.live}
    return Compared(
        strange=tuple(
            each
            for each in reported
            if key_of(each) not in known and coming.get((each.tunnel, each.name), 0) <= each.epoch
        ),
        missed=tuple(each for each in ledger if each.live and each.age >= OPENING and key_of(each) not in held),
    )


def key_of(each: Holding | HeldName) -> Key:
    return (each.tunnel, each.name, each.epoch)

"""
What waits for a server: at most one change a name, and everybody who waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pinggy.dns.powerdns.changes import NEWER_OWNER, Change, Refused

# None where the server has taken it.
Outcome = Refused | None
Tell = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """
    *change* is the one of the highest rank that anybody wants; of those with the same rank, the last. *wanted* are all
    of them, each with who is told.
    """

    change: Change
    wanted: tuple[tuple[Change, Tell], ...]


class Queue:
    """In the order in which names came."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, change: Change, tell: Tell) -> None:
        entry = self._entries.get(change.name)
        if entry is None:
            self._entries[change.name] = Entry(change, ((change, tell),))
            return
        best = change if change.rank >= entry.change.rank else entry.change
        self._entries[change.name] = Entry(best, (*entry.wanted, (change, tell)))

    def take(self, most: int) -> list[Entry]:
        """The first *most* entries: they wait no longer."""
        names = [name for name, _ in zip(self._entries, range(most), strict=False)]
        return [self._entries.pop(name) for name in names]

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """
        Tell everybody what became of *entry*. Whoever wanted an older epoch's record is told that it is too late, its
        withdrawal is done. Where the server refused the newest, the older ones wait again.
        """
        for change, tell in entry.wanted:
            if change.rank == entry.change.rank:
                tell(outcome)
            elif outcome is not None:
                self.add(change, tell)
            elif change.withdrawn:
                tell(None)
            else:
                tell(Refused(name=change.name, why=NEWER_OWNER, stale=True))

"""
What was committed, told to those who act on it.

Told after the commit and never instead of it: whoever acts reads the ledger again. What is lost with a process is found
there by the next one. Between several cores this is where LISTEN and NOTIFY belong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from pinggy.core.ledger import Ended


class News:
    """Each list holds those who want to know; they must not raise, and must not wait."""

    def __init__(self) -> None:
        self.on_orders: list[Callable[[Collection[str]], object]] = []
        self.on_ended: list[Callable[[Sequence[Ended]], object]] = []
        self.on_edges: list[Callable[[], object]] = []

    def orders_written(self, edges: Collection[str]) -> None:
        """There are orders for these *edges*."""
        for tell in self.on_orders if edges else ():
            tell(edges)

    def tunnels_ended(self, tunnels: Sequence[Ended]) -> None:
        """The core itself has ended these *tunnels*; whether their edges clean up is not known."""
        for tell in self.on_ended if tunnels else ():
            tell(tunnels)

    def edges_changed(self) -> None:
        """There are other edges, or other addresses, than before."""
        for tell in self.on_edges:
            tell()

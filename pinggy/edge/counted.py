"""
What a tunnel counts: its streams, as they are opened, kept for another request, and over.
"""

from __future__ import annotations

from typing import Protocol

from pinggy.edge.tally import Tally


class Kept(Protocol):
    """A stream that may be kept for a later request."""

    def close_if_idle(self) -> None:
        """Nobody will ask for it any more."""
        ...


class Counted(Protocol):
    """Whose streams are counted: a tunnel."""

    @property
    def tally(self) -> Tally: ...

    @property
    def kept(self) -> set[Kept]: ...

    @property
    def has_ended(self) -> bool: ...

    def stream_over(self) -> None: ...

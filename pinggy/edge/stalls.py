"""
How often bytes had to wait for who takes them, and how many streams wait now.
"""

from __future__ import annotations


class Waits:
    """One kind of waiting: *total* since the start, *now*."""

    __slots__ = ("now", "total")

    def __init__(self) -> None:
        self.total = 0
        self.now = 0

    def begin(self) -> None:
        self.total += 1
        self.now += 1

    def end(self) -> None:
        self.now -= 1


class Stalls:
    """*client*: a client's window is full, its visitor waits. *visitor*: a visitor takes no more, the client waits."""

    __slots__ = ("client", "visitor")

    def __init__(self) -> None:
        self.client = Waits()
        self.visitor = Waits()

"""
Epochs: who may still write a name.

The ledger gives each later grant of a name a higher epoch. A late write of an old owner must change nothing, also
when the newer owner has left already: so the highest epoch of a withdrawn name is remembered for a while.
"""

from __future__ import annotations

from collections import OrderedDict

MOST_REMEMBERED = 16_384


class Fence:
    """
    The highest epoch of each name that stands, and of the last *most_remembered* names that were withdrawn.

    A late write that comes after so many other withdrawals is let through: memory is bounded first.
    """

    def __init__(self, most_remembered: int = MOST_REMEMBERED) -> None:
        self._most_remembered = most_remembered
        self._standing: dict[str, int] = {}
        self._withdrawn: OrderedDict[str, int] = OrderedDict()

    def standing(self, name: str) -> int | None:
        """The epoch by which *name* stands; None where it does not, or was written by somebody else."""
        return self._standing.get(name)

    def admit(self, name: str, epoch: int) -> bool:
        """Whether the owner by *epoch* may write *name*; from then on it stands."""
        if epoch < self._standing.get(name, epoch) or epoch <= self._withdrawn.get(name, epoch - 1):
            return False
        self._standing[name] = epoch
        self._withdrawn.pop(name, None)
        return True

    def release(self, name: str, epoch: int, *, any_lower: bool = False) -> bool:
        """
        Whether *name* stands by exactly this *epoch*, or by *any_lower* one; if so, no longer. The epoch is spent in
        any case: a write of it that comes after its own withdrawal is late.
        """
        standing = self._standing.get(name)
        if standing is None or epoch >= standing:
            self._remember(name, epoch)
        if standing is None or (standing != epoch and not (any_lower and standing < epoch)):
            return False
        del self._standing[name]
        return True

    def _remember(self, name: str, epoch: int) -> None:
        self._withdrawn[name] = max(epoch, self._withdrawn.get(name, epoch))
        self._withdrawn.move_to_end(name)
        if len(self._withdrawn) > self._most_remembered:
            self._withdrawn.popitem(last=False)

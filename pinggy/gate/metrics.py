"""
The metrics of a zone gate.
"""

from __future__ import annotations

from pinggy.metrics.metrics import Metrics

# Why a change was not written: its proof does not fit, a newer owner has the name, what it withdraws is gone already,
# PowerDNS does not take it.
REFUSALS = ("not-proven", "stale", "gone", "powerdns")


class GateMetrics(Metrics):
    """What happens at a gate, told by who does it."""

    def __init__(self) -> None:
        super().__init__("pinggy_gate")
        self._passed = self._counter("changes_passed", "Changes that were let through and that PowerDNS took.")
        self._refused = self._words("changes_refused", "Changes that were not written, by why.", "why", REFUSALS)
        self._patches = self._seconds("patch", "One write to PowerDNS, with all changes that waited for it.")

    def passed(self, changes: int) -> None:
        self._passed.inc(changes)

    def refused(self, why: str, changes: int) -> None:
        """*why* is one of `REFUSALS`."""
        self._refused.count(why, changes)

    def patched(self, seconds: float) -> None:
        """PowerDNS has answered a write, or was given up."""
        self._patches.observe(seconds)

"""
What a run has shown, for people: counts, times, and every violation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.system.regions.checker import RULES, Violation
from tests.system.regions.histories import ClientEvent, Grant, Visit
from tests.system.regions.population import CONTESTED
from tests.system.regions.resolvers import OVERSTAYS

# Seconds: "there is no such name" is kept so long, and rightly.
NEGATIVE_TTL = 6.0
NO_NAME = "dns-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """*broken* to *whole*, then *agreed* when ledger, zone and clients were as they should; None: not in time."""

    broken: float
    whole: float
    agreed: float | None
    over: float

    @property
    def recovery(self) -> float | None:
        return None if self.agreed is None else self.agreed - self.whole


@dataclass(slots=True, kw_only=True)
class Report:
    seed: int
    cables: bool
    faults: dict[str, int] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    # Not forbidden by the four rules, but not as it should be.
    failures: list[str] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    events: list[ClientEvent] = field(default_factory=list)
    grants: Sequence[Grant] = ()

    @property
    def is_good(self) -> bool:
        return not self.violations and not self.failures

    def calm_failures(self) -> list[Visit]:
        """Visits that began when everything had been agreed again, and ended before anything was broken, and failed."""
        return [visit for visit in self.visits if visit.is_failure and self._is_calm(visit)]

    def unexcused(self) -> list[Visit]:
        """
        Calm failures that no visitor should have met, whatever his resolver says. But a port is listened at in its
        region, and where it was before unless that edge has been started anew since: who is led elsewhere finds nobody.
        And whose resolver goes on saying for long that there is no such name, comes to no edge at all.
        """
        return [
            visit
            for visit in self.calm_failures()
            if visit.resolver != OVERSTAYS or not (visit.kind == "tcp" or visit.outcome.startswith(NO_NAME))
        ]

    def _is_calm(self, visit: Visit) -> bool:
        ended = visit.at + visit.took
        return visit.name != CONTESTED and any(
            each.agreed is not None and each.agreed + NEGATIVE_TTL < visit.at and ended < each.over
            for each in self.rounds
        )

    def lines(self) -> Iterable[str]:
        where = "network namespaces" if self.cables else "loopback, no links cut"
        yield f"seed {self.seed}, {where}"
        yield "faults: " + _counts(self.faults)
        owners = len({(grant.name, grant.epoch) for grant in self.grants})
        yield f"ledger: {owners} grants of {len({grant.name for grant in self.grants})} names"
        yield "clients: " + _counts(Counter(each.what for each in self.events))
        yield from self._visit_lines()
        for number, each in enumerate(self.rounds, start=1):
            recovery = "not in time" if each.recovery is None else f"{each.recovery:.1f} s after the last fault"
            late = [v.at + v.took for v in self.visits if v.is_failure and each.whole < v.at < each.over]
            last = (
                f"; last failed visit {max(late) - each.whole:.1f} s after it" if late else "; no visit failed after it"
            )
            yield f"round {number}: {each.whole - each.broken:.0f} s of faults, all as it should be {recovery}{last}"
        for rule in RULES:
            broken = [each for each in self.violations if each.rule == rule]
            yield f"{rule}: {'holds' if not broken else f'BROKEN {len(broken)} times'}"
            yield from (f"    {each.what}" for each in broken[:10])
        for failure in self.failures:
            yield f"failure: {failure}"

    def _visit_lines(self) -> Iterable[str]:
        failed = [visit for visit in self.visits if visit.is_failure]
        calm = self.calm_failures()
        yield f"visits: {len(self.visits)}, failed {len(failed)}, of these in calm {len(calm)}"
        yield "  by outcome: " + _counts(Counter(visit.outcome for visit in self.visits))
        yield "  failed by kind: " + _counts(Counter(visit.kind for visit in failed))
        yield "  failed by resolver: " + _counts(Counter(visit.resolver for visit in failed))
        if calm:
            yield "  failed in calm: " + _counts(Counter(f"{v.resolver} {v.kind} {v.outcome}" for v in calm))


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{what} {count}" for what, count in sorted(counts.items(), key=lambda each: -each[1])) or "none"

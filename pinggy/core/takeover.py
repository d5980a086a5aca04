"""
When a busy name passes to a newer tunnel of the same account: by force, or because its holder does not answer for it.

Whoever asks for a name without force meets its holders in the ledger. What those are worth is found out between two
transactions: their clients are asked, by orders to their edges, and the claims are made again, against what is dead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from twisted.internet.defer import Deferred, FirstError, gatherResults

from pinggy.core.ledger import Holder
from pinggy.tunnel import endings
from pinggy.tunnel.refusals import Refusal
from pinggy.wire.messages import Authorized

# A name whose holder was dead may have another one by then, who is asked too.
_ROUNDS = 3
# Seconds in which an edge has its client's answer.
PING = 2.0


class How(Enum):
    """The values are what `CoreMetrics.taken_over` counts."""

    FORCE = "force"
    NEWEST_WINS = "newest-wins"
    DEAD = "dead"
    LEASE_OVER = "lease-over"
    UNREACHABLE = "unreachable"

    def reason(self, address: str) -> Refusal:
        """What the old tunnel's client is told, where it can be: the new one's is at *address*."""
        match self:
            case How.FORCE:
                return endings.TakenOver.of(address)
            case How.NEWEST_WINS:
                return endings.TakenOver.by_newest(address)
            case How.DEAD:
                return endings.ClientSilent.of(PING)
            case How.LEASE_OVER | How.UNREACHABLE:
                return endings.EdgeCutOff.of(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What a transaction has come to: the *answer*, how it *ended* older tunnels, and the holders that it met and has left
    alone.
    """

    answer: Authorized
    ended: tuple[How, ...] = ()
    met: tuple[Holder, ...] = ()


class Probes(Protocol):
    def ask(self, holder: Holder) -> Deferred[How | None]:
        """Fires with how its names may be taken over; None where its client answers."""
        ...


async def settle(run: Callable[[Mapping[str, How]], Deferred[Outcome]], probes: Probes) -> Authorized:
    """
    *run* is one transaction that claims, given the tunnels that may be taken over: its answer when there are no more
    such among the holders that it meets. Each of those is asked once.
    """
    known: dict[str, How | None] = {}
    for _ in range(_ROUNDS):
        outcome = await run({tunnel: how for tunnel, how in known.items() if how is not None})
        found = await _asked([each for each in outcome.met if each.tunnel not in known], probes)
        known |= found
        if all(how is None for how in found.values()):
            break
    return outcome.answer


async def _asked(holders: Collection[Holder], probes: Probes) -> dict[str, How | None]:
    """At the same time, each within its bound. Fails as the first of them does."""
    try:
        answers = await gatherResults([probes.ask(each) for each in holders], consumeErrors=True)
    except FirstError as first:
        first.subFailure.raiseException()
    return {holder.tunnel: how for holder, how in zip(holders, answers, strict=True)}

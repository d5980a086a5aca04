"""
An edge keeps its lease: all tunnels are renewed well within it, and those that the core has ended are closed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.core_client import CoreClient
from pinggy.edge.dormant import Dormants
from pinggy.edge.timer import Timer
from pinggy.edge.tunnels import Tunnels
from pinggy.tunnel.refusal_codes import from_wire
from pinggy.tunnel.refusals import Refusal
from pinggy.wire.messages import Lost, Renew, Usage

log = Logger()

AT_ONCE = 2000  # tunnels in one message: some 250 KB
_FIRST_WAIT = 1 / 30  # of a lease, before the core is asked again that did not answer; doubled up to the usual third
MOST_OF_TICKETS = 256 * 1024  # bytes of tickets in one message


class Renewal:
    """
    Renews every third of *lease* (seconds). Where the core does not answer it is asked again much sooner, and then less
    and less often. It may be away: live tunnels go on, and the operator is told once when it goes and once when it is
    back.

    *away* and *answered* (when the core last renewed, in the clock's seconds) may be read.
    """

    def __init__(
        self,
        *,
        core: CoreClient,
        tunnels: Tunnels,
        dormants: Dormants,
        clock: IReactorTime,
        instance: str,
        lease: float,
    ) -> None:
        self._core = core
        self._tunnels = tunnels
        self._dormants = dormants
        self._instance = instance
        self._lease = lease
        self.away = False
        # The core has just registered this edge.
        self.answered: float | None = clock.seconds()
        self._clock = clock
        self._timer = Timer(clock, self._renew)
        self._renewing: Deferred[None] | None = None
        self._giving_back: Deferred[None] | None = None
        # Tunnels that are over, of which the dormant ones have not been told yet.
        self._over: set[str] = set()
        self._stopped = False
        self._wait = lease * _FIRST_WAIT

    def start(self) -> None:
        self._timer.start(self._lease / 3)

    def stop(self) -> None:
        self._stopped = True
        self._timer.stop()
        for work in (self._renewing, self._giving_back):
            if work is not None:
                work.cancel()

    def _renew(self) -> None:
        self._renewing = Deferred.fromCoroutine(self._renew_all())
        self._renewing.addErrback(self._broke).addBoth(self._again)

    async def _renew_all(self) -> None:
        try:
            for usages in self._portions():
                tickets = self._old_tickets(usages)
                renewed = await self._core.renew(Renew(instance=self._instance, tunnels=usages, tickets=tickets))
                for lost in renewed.lost:
                    self._over.add(lost.tunnel)
                    self._end(lost)
                self._take(renewed.tickets)
        except Refusal as refusal:
            self._not_reached(refusal)
            self._give_back(answered=False)
        else:
            self._reached()
            self._give_back(answered=True)

    def _give_back(self, *, answered: bool) -> None:
        """What is due of the dormant ones. Not waited for: it may take longer than the lease of the others."""
        if self._giving_back is None:
            over, self._over = self._over, set()
            giving_back = self._giving_back = Deferred.fromCoroutine(self._dormants.renewed(answered, over))
            giving_back.addErrback(self._broke).addBoth(self._given_back)

    def _given_back(self, _: object) -> None:
        self._giving_back = None

    def _end(self, lost: Lost) -> None:
        tunnel = self._tunnels.get(lost.tunnel)
        if tunnel is not None:
            tunnel.end(from_wire(lost.code, lost.text))

    def _portions(self) -> Iterator[tuple[Usage, ...]]:
        usages = [*(tunnel.usage() for tunnel in self._tunnels), *self._dormants.usages()]
        # An edge without tunnels renews too: the core sees that it lives.
        for start in range(0, max(1, len(usages)), AT_ONCE):
            yield tuple(usages[start : start + AT_ONCE])

    # -- tickets ------------------------------------------------------------------------------------------------------

    def _old_tickets(self, usages: Iterable[Usage]) -> tuple[str, ...]:
        """Those of the tunnels in *usages* that are worth new ones, as many as fit in a message."""
        room, found = MOST_OF_TICKETS, []
        for usage in usages:
            tunnel = self._tunnels.get(usage.tunnel)
            held = None if tunnel is None else tunnel.ticket
            if held is not None and self._dormants.check.is_old(held) and len(held.text) <= room:
                room -= len(held.text)
                found.append(held.text)
        return tuple(found)

    def _take(self, tickets: Iterable[str]) -> None:
        for text in tickets:
            held = self._dormants.check.read(text)
            tunnel = None if held is None else self._tunnels.get(held.ticket.tunnel)
            if tunnel is not None:
                tunnel.ticket = held

    def _reached(self) -> None:
        self.answered = self._clock.seconds()
        if self.away:
            self.away = False
            log.info("the core answers again")

    def _not_reached(self, refusal: Refusal) -> None:
        if not self.away:
            self.away = True
            log.warn("the core does not renew ({why}): live tunnels go on, new ones cannot start", why=refusal.text)

    def _broke(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("renewing broke", failure)

    def _again(self, _: object) -> None:
        self._renewing = None
        if not self._stopped:
            self._timer.start(self._pause())

    def _pause(self) -> float:
        if not self.away:
            self._wait = self._lease * _FIRST_WAIT
            return self._lease / 3
        wait, self._wait = self._wait, min(2 * self._wait, self._lease / 3)
        # Spread, so that the edges of a core that comes back do not all ask at one instant.
        return wait * random.uniform(0.5, 1.0)  # noqa: S311

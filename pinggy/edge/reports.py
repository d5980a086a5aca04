"""
Now and then the edge says what it holds; the core compares that with its ledger.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.core_client import CoreClient
from pinggy.edge.timer import Timer
from pinggy.edge.tunnels import Tunnels
from pinggy.tunnel.refusals import Refusal
from pinggy.wire.messages import Holding, Report

log = Logger()

AT_ONCE = 4000  # names in one message: some 600 KB


class Reports:
    """
    One every *interval* seconds, spread so that edges do not all come at one instant. One that the core does not answer
    is over: the next one says everything anew. *kept* gives what is held besides the live *tunnels*, for clients that
    may come back.
    """

    def __init__(
        self,
        *,
        core: CoreClient,
        tunnels: Tunnels,
        kept: Callable[[], Iterable[Holding]],
        clock: IReactorTime,
        instance: str,
        interval: float,
    ) -> None:
        self._core = core
        self._tunnels = tunnels
        self._kept = kept
        self._instance = instance
        self._interval = interval
        self._timer = Timer(clock, self._report)
        self._reporting: Deferred[None] | None = None
        self._stopped = False

    def start(self) -> None:
        self._timer.start(self._interval * random.uniform(0.8, 1.2))  # noqa: S311 - spreads edges

    def stop(self) -> None:
        self._stopped = True
        self._timer.stop()
        if self._reporting is not None:
            self._reporting.cancel()

    def _report(self) -> None:
        self._reporting = Deferred.fromCoroutine(self._say_all())
        self._reporting.addErrback(self._broke).addBoth(self._again)

    async def _say_all(self) -> None:
        for report in self._parts():
            await self._core.report(report)

    def _parts(self) -> Iterator[Report]:
        """Each of what is held when it is said: the core may take its time for the one before."""
        after = ""
        upto: str | None = ""
        while upto is not None:
            held = self._held(after)
            upto = held[AT_ONCE - 1].name if len(held) >= AT_ONCE else None
            holdings = tuple(each for each in held if upto is None or each.name <= upto)
            yield Report(instance=self._instance, holdings=holdings, after=after, upto=upto)
            after = upto or after

    def _held(self, after: str) -> list[Holding]:
        """In the order of names: of the live ones no more than one message takes."""
        live = [
            Holding(tunnel=each.tunnel.id, name=each.forwarding.name, epoch=each.forwarding.epoch)
            for each in islice(self._tunnels.names(after), AT_ONCE)
        ]
        kept = [each for each in self._kept() if each.name > after]
        if len(live) == AT_ONCE:
            kept = [each for each in kept if each.name <= live[-1].name]
        return sorted([*live, *kept], key=lambda each: each.name)

    def _broke(self, failure: Failure) -> None:
        # Renewals tell the operator that the core is away.
        if failure.check(CancelledError, Refusal) is None:
            log.failure("reporting broke", failure)

    def _again(self, _: object) -> None:
        self._reporting = None
        if not self._stopped:
            self.start()

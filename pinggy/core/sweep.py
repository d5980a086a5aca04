"""
Ends the tunnels whose lease is over: their edge is gone, or cut off. It looks six times in a lease.

A core that starts, or that could not sweep for a while (its database was away, it stood still), waits one whole
lease first: the edges must have had the time to renew. So it does where the database's clock, by which leases are over,
has jumped: it was set, or another server with another clock is the primary now.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.core.ledger import Ledger, LedgerAway, Transaction, closing, news_of
from pinggy.core.metrics import CoreMetrics
from pinggy.core.patience import Patience
from pinggy.core.places import displaced_by
from pinggy.tunnel.endings import Expired, LeaseLost

_EARLY_RELEASES_KEPT = 600.0
_HISTORY_KEPT = 90 * 24 * 3600.0
# An edge that does not come for its orders learns from its next renewal which of its tunnels are over.
_ORDERS_KEPT = 3600.0


class Sweep:
    """It is also who keeps *patience*: no other loop looks at the database as often."""

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, ledger: Ledger, patience: Patience, metrics: CoreMetrics | None = None
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._patience = patience
        self._metrics = metrics or CoreMetrics()
        self._is_away = False
        # By how much the database's clock is before ours, as far as is known.
        self._ahead: float | None = None
        self._round: Deferred[None] | None = None
        self._loop = LoopingCall(self._begin)
        self._loop.clock = clock

    def start(self) -> None:
        self._patience.begin()
        self._loop.start(self._patience.interval, now=False)

    def stop(self) -> Deferred[None]:
        """Fires when the round in hand is over."""
        if self._loop.running:
            self._loop.stop()
        over: Deferred[None] = Deferred()
        if self._round is None:
            over.callback(None)
        else:
            self._round.addCallback(over.callback)
        return over

    def _begin(self) -> Deferred[None] | None:
        self._patience.beat()
        if self._is_away:
            work = self._look()
        elif self._patience.is_over:
            work = self.sweep()
        else:
            # The wait counts only while the database answers, for only then do the edges renew.
            work = self._check()
        self._round = work.addErrback(self._failed).addBoth(self._over)
        return self._round

    def _over(self, result: None) -> None:
        self._patience.beat()
        self._round = None

    def _check(self) -> Deferred[None]:
        asked = self._clock.seconds()

        async def work(ledger: Transaction) -> None:
            await self._check_time(ledger, asked)

        return self._ledger.look(work)

    async def _check_time(self, ledger: Transaction, asked: float) -> None:
        """Raises `LedgerAway` where what was *asked* then had to wait for the database, or its clock has jumped."""
        if self._clock.seconds() - asked > self._patience.interval:
            raise LedgerAway("The database was away until now.")
        before, self._ahead = self._ahead, await ledger.clock() - self._clock.seconds()
        if before is not None and abs(self._ahead - before) > self._patience.interval:
            raise LedgerAway(f"The database's clock has jumped by {self._ahead - before:.0f} s.")

    def _look(self) -> Deferred[None]:
        """Is the database back? The edges could not renew without it: they have a whole lease from then on."""
        return self._ledger.check().addCallback(self._back)

    def _back(self, _: None) -> None:
        self._is_away = False
        self._patience.begin()

    def _failed(self, failure: Failure) -> None:
        if self._is_away:
            return
        self._is_away = True
        self._patience.lose()
        if failure.check(LedgerAway):
            self._log.warn("the sweep waits: {why}", why=failure.getErrorMessage())
        else:
            self._log.failure("the sweep failed", failure)

    def sweep(self) -> Deferred[None]:
        """One round, now."""
        asked = self._clock.seconds()
        counts: list[int] = []

        def committed(_: None) -> None:
            self._metrics.swept(*counts)

        async def work(ledger: Transaction) -> None:
            counts.clear()
            await self._check_time(ledger, asked)
            lost, expired = await ledger.overdue(self._patience.lease)
            ended = await ledger.end(lost, LeaseLost.of()) + await ledger.end(expired, Expired.of())
            await ledger.tell(*news_of(ended))
            await ledger.forget_old(_EARLY_RELEASES_KEPT, _HISTORY_KEPT, _ORDERS_KEPT)
            counts.extend((len(lost), len(expired)))
            # Whoever ended the successor, and whatever became of who did.
            old = await ledger.finish_left_handovers()
            await ledger.order([*closing(old), *await displaced_by(ledger, ended)])
            if lost or expired:
                self._log.info(
                    "ended {lost} tunnels without a lease, {expired} expired", lost=len(lost), expired=len(expired)
                )

        return self._ledger.transact(work).addCallback(committed)

"""
Keeps the entry at Route 53: when edges change, and now and then. Nobody waits for it, least of all a tunnel.
"""

from __future__ import annotations

import random
import time
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from pinggy.core.ledger import Ledger, LedgerAway
from pinggy.core.news import EdgesChanged, News
from pinggy.dns.route53.calls import Route53, Route53Away
from pinggy.dns.route53.plan import Entry, Route53Refused, Target
from pinggy.dns.route53.settle import Settled, Stopped, settle
from pinggy.wire.operator import Edge

# Seconds between two passes that nothing has asked for, and until one that failed is tried again.
_INTERVAL = 300.0
_SOONEST = 5.0
# Seconds for which the end waits for Amazon.
_PATIENCE = 5.0


class LatencyEntry:
    _log = Logger()

    def __init__(self, reactor: Any, ledger: Ledger, news: News, entry: Entry, api: Route53) -> None:
        self._reactor = reactor
        self._ledger = ledger
        self._entry = entry
        self._api = api
        # Passes never overlap.
        self._threads = ThreadPool(0, 1, "route53")
        self._work: Deferred[None] | None = None
        self._again = False
        self._next: IDelayedCall | None = None
        self._pause = _SOONEST
        self._trouble: str | None = None
        self._unplaced: frozenset[str] = frozenset()
        self._running = False
        self._waiting: list[Deferred[None]] = []
        news.hear(EdgesChanged, lambda _: self.look())
        news.on_gap.append(self.look)

    def start(self) -> None:
        self._running = True
        self._threads.start()
        self.look()

    async def stop(self) -> None:
        """Returns when nothing is under way, or Amazon is silent for long: then its thread ends with the process."""
        if not self._running:
            return
        self._running = False
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._work is not None:
            bound = self._reactor.callLater(_PATIENCE, self._tell_waiting)
            await self.idle()
            if bound.active():
                bound.cancel()
        if self._work is None:
            self._threads.stop()

    def idle(self) -> Deferred[None]:
        """Fires when no pass is under way."""
        if self._work is None:
            return succeed(None)
        self._waiting.append(Deferred())
        return self._waiting[-1]

    @property
    def trouble(self) -> str | None:
        """What is wrong, None where nothing is known to be."""
        return self._trouble

    def look(self) -> None:
        """Something may have changed."""
        if not self._running:
            return
        if self._work is not None:
            self._again = True
            return
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._work = Deferred.fromCoroutine(self._pass())
        self._work.addErrback(self._failed)
        self._work.addCallback(self._looked)

    def _looked(self, _: object) -> None:
        self._work = None
        again, self._again = self._again, False
        if self._running and again:
            self.look()
            return
        if self._running:
            self._pause = _INTERVAL if self._trouble is None else min(2 * self._pause, _INTERVAL)
            # Spread, so that several cores do not come at one instant.
            pause = self._pause * random.uniform(0.8, 1.2)  # noqa: S311
            self._next = self._reactor.callLater(pause, self.look)
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    async def _pass(self) -> None:
        edges = await self._ledger.transact(lambda ledger: ledger.edges())
        self._say_unplaced(edges)
        serving = [each for each in edges if not each.draining] or edges
        targets = [
            Target(edge=edge.name, address=address, region=edge.aws_region)
            for edge in serving
            if edge.aws_region
            for address in edge.addresses
        ]
        settled = await deferToThreadPool(
            self._reactor,
            self._threads,
            lambda: settle(self._api, self._entry, targets, time.time(), lambda: self._running),
        )
        self._say(settled)

    def _say(self, settled: Settled) -> None:
        if settled or self._trouble is not None:
            self._log.info(
                "the entry {name} at Route 53 is as it should be: {changes}",
                name=self._entry.name,
                changes=str(settled),
            )
        self._trouble = None
        self._pause = _SOONEST

    def _say_unplaced(self, edges: tuple[Edge, ...]) -> None:
        unplaced = frozenset(each.name for each in edges if not each.aws_region)
        if unplaced - self._unplaced:
            self._log.warn(
                "no region of Amazon's is said to be near these edges, the entry does not lead to them: {edges}",
                edges=", ".join(sorted(unplaced)),
            )
        self._unplaced = unplaced

    def _failed(self, failure: Failure) -> None:
        if failure.check(Stopped):
            return
        if failure.check(Route53Refused, Route53Away, LedgerAway):
            why = failure.getErrorMessage()
        else:
            self._log.failure("keeping the entry at Route 53 broke", failure)
            why = "it broke"
        if why != self._trouble:
            self._log.warn("the entry {name} at Route 53 is not as it should be: {why}", name=self._entry.name, why=why)
        if self._trouble is None:
            self._pause = _SOONEST / 2
        self._trouble = why

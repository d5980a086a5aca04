"""
An edge that is taken out of service: nobody new is let in, and who is here is told, and sent away little by little.

Tunnels end gracefully, the oldest first, spread evenly: so their clients do not all knock at the next edge at once.
"""

from __future__ import annotations

import math
import random

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.core_client import CoreClient
from pinggy.edge.tunnels import LiveTunnel, Tunnels
from pinggy.tunnel.endings import EdgeDraining
from pinggy.tunnel.refusals import CoreAway, Refusal
from pinggy.wire.messages import Draining
from pinggy.wire.orders import GRACE

log = Logger()

CORE_PATIENCE = 3.0  # seconds for the core to lead clients elsewhere, before the first tunnel is closed
STEP = 0.1  # seconds between two portions of tunnels, at the least
_FIRST_WAIT = 0.2  # seconds until the core is told again; doubled up to the last
_LAST_WAIT = 5.0


class EdgeDrain:
    """All tunnels are closed within *seconds*."""

    def __init__(
        self, *, core: CoreClient, tunnels: Tunnels, clock: IReactorTime, instance: str, seconds: float
    ) -> None:
        self._core = core
        self._tunnels = tunnels
        self._clock = clock
        self._instance = instance
        self._seconds = seconds
        self._draining = False
        self._stops = False
        self._saying: Deferred[None] | None = None
        self._sending: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []

    def refusal(self) -> Refusal | None:
        """Why nobody is let in at the moment, if so."""
        return EdgeDraining.of() if self._draining else None

    def begin(self, *, say: bool) -> None:
        """From now on. *say*: the edge is about to stop, and the core does not know it yet."""
        self._stops = self._stops or say
        if not self._draining:
            log.info("this edge drains: {count} tunnels are to leave", count=len(self._tunnels))
            self._draining = True
            text = "This edge is being taken out of service: your tunnel is closed within "
            text += f"{self._seconds:g} seconds, to be started again elsewhere."
            for tunnel in self._tunnels:
                tunnel.client.tell(EdgeDraining.code, text)
        if say and self._saying is None:
            self._saying = Deferred.fromCoroutine(self._say()).addErrback(self._broke)
        if self._sending is None:
            self._sending = Deferred.fromCoroutine(self._send_away(say)).addErrback(self._broke)
            self._sending.addCallback(self._sent_away)

    def end(self) -> None:
        """Let clients in again; those who have been told to leave may stay. An edge that is about to stop does not."""
        if self._stops:
            return
        if self._draining:
            log.info("this edge drains no longer")
            for tunnel in self._tunnels:
                tunnel.client.tell(EdgeDraining.code, "This edge stays in service, and so does your tunnel.")
        self._draining = False
        self.stop()

    def stop(self) -> None:
        """Do nothing more about it."""
        for work in (self._saying, self._sending):
            if work is not None:
                work.cancel()
        self._saying = self._sending = None

    def empty(self) -> Deferred[None]:
        """Once it has begun: fires when no tunnel is left. Cancel it where nobody waits any more."""
        if self._sending is None:
            return succeed(None)
        empty: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(empty)
        return empty

    # -- the core ---------------------------------------------------------------------------------------------------

    async def _say(self) -> None:
        wait = _FIRST_WAIT
        while True:
            try:
                await self._core.draining(Draining(instance=self._instance))
                return
            except CoreAway:
                await deferLater(self._clock, wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads edges
                wait = min(2 * wait, _LAST_WAIT)
            except Refusal as refusal:
                log.warn("the core does not take this edge out of service: {why}", why=refusal.text)
                return

    def _core_knows(self) -> Deferred[None]:
        """Fires when it has been told, or has had its time."""
        knows: Deferred[None] = Deferred(lambda _: bound.cancel())
        bound = self._clock.callLater(CORE_PATIENCE, knows.callback, None)

        def told(_: object) -> None:
            if bound.active():
                bound.cancel()
                knows.callback(None)

        assert self._saying is not None
        self._saying.addBoth(told)
        return knows

    # -- the tunnels ------------------------------------------------------------------------------------------------

    async def _send_away(self, say: bool) -> None:
        if say:
            await self._core_knows()
        over = self._clock.seconds() + self._seconds
        while tunnels := list(self._tunnels):
            left = over - self._clock.seconds()
            leaving = self._portion(tunnels, left)
            for tunnel in leaving:
                tunnel.end(EdgeDraining.of(), GRACE)
            stay = len(tunnels) - len(leaving)
            # Also those whose opening was under way when it began.
            await deferLater(self._clock, max(STEP, left / stay if stay else STEP))

    def _portion(self, tunnels: list[LiveTunnel], left: float) -> list[LiveTunnel]:
        """Those whose turn it is, *left* seconds before all must be closed."""
        steps = left / STEP
        return tunnels if steps < 1 else tunnels[: math.ceil(len(tunnels) / steps)]

    def _sent_away(self, _: object) -> None:
        self._sending = None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def _broke(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("draining broke", failure)

"""
What the core orders of this edge, as a stream: resumed after a cut, with nothing lost and nothing done twice.
"""

from __future__ import annotations

import random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.core_client import CoreClient
from pinggy.edge.drain import EdgeDrain
from pinggy.edge.elsewhere import NothingElsewhere, Told
from pinggy.edge.examination import Examination
from pinggy.edge.metrics import EdgeMetrics
from pinggy.edge.pings import Pings
from pinggy.edge.tunnels import Tunnels
from pinggy.tunnel.refusal_codes import from_wire
from pinggy.tunnel.refusals import Refusal
from pinggy.wire.orders import AskOrders, Close, Displaced, Drain, Examine, Order, Placed, Probe, Undrain

log = Logger()

FIRST_WAIT = 0.2  # seconds before the core is asked again after it did not answer; doubled up to the last
LAST_WAIT = 5.0
LONGEST_GRACE = 60.0  # seconds


class OrderStream:
    """
    Asks the core for orders after the number *after*, for as long as the edge runs. *answered* is when it last did, in
    the clock's seconds.
    """

    def __init__(
        self,
        *,
        core: CoreClient,
        tunnels: Tunnels,
        drain: EdgeDrain,
        clock: IReactorTime,
        instance: str,
        after: int,
        metrics: EdgeMetrics | None = None,
        told: Told | None = None,
    ) -> None:
        # The core has just said where the orders begin.
        self.answered: float | None = clock.seconds()
        self._core = core
        self._tunnels = tunnels
        self._drain = drain
        self._clock = clock
        self._instance = instance
        self._after = after
        self._metrics = metrics or EdgeMetrics()
        self._examination = Examination(core=core, tunnels=tunnels, clock=clock)
        self._pings = Pings(core=core, tunnels=tunnels, clock=clock)
        self._told = told or NothingElsewhere()
        self._asking: Deferred[None] | None = None
        self._stopped = False

    def start(self) -> None:
        self._asking = Deferred.fromCoroutine(self._ask_for_ever())
        self._asking.addErrback(self._over)

    def stop(self) -> None:
        # An order that is being carried out may be what stops the edge: then nothing is asked that could be cancelled.
        self._stopped = True
        self._examination.stop()
        self._pings.stop()
        if self._asking is not None:
            self._asking.cancel()

    async def _ask_for_ever(self) -> None:
        wait = FIRST_WAIT
        while not self._stopped:
            try:
                said = await self._core.orders(AskOrders(instance=self._instance, after=self._after))
            except Refusal:
                # Renewals tell the operator that the core is away; here it is only asked again.
                await deferLater(self._clock, wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads edges
                wait = min(2 * wait, LAST_WAIT)
                continue
            wait = FIRST_WAIT
            self.answered = self._clock.seconds()
            for order in said.orders:
                try:
                    self._carry_out(order)
                except Exception:
                    # Those after it are not to wait for a new edge.
                    log.failure("the order {number} could not be carried out", number=order.number)

    def _carry_out(self, order: Order) -> None:
        self._after = order.number
        self._metrics.carried_out(order.TAG)
        match order:
            case Close():
                tunnel = self._tunnels.begun(order.tunnel)
                if tunnel is not None:
                    tunnel.end(from_wire(order.code, order.text), min(order.grace, LONGEST_GRACE))
            case Drain():
                self._drain.begin(say=False)
            case Undrain():
                self._drain.end()
            case Examine():
                self._examination.examine(order)
            case Probe():
                self._pings.ping(order)
            case Placed():
                self._told.placed(order.place, order.seconds)
            case Displaced():
                self._told.displaced(order.name, order.epoch)
            case _:
                log.debug("an order of a newer core was passed over: {order}", order=order)

    def _over(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("the stream of orders broke", failure)

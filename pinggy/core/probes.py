"""
Does the client of a tunnel answer? The edge that has it pings it, by order.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from pinggy.core.asks import Asks, NoAnswer
from pinggy.core.ledger import Holder
from pinggy.core.orders import OrderDesk
from pinggy.core.takeover import PING, How
from pinggy.wire.orders import Probe, Probed

WAIT = PING + 0.5  # seconds for the edge's answer
# Seconds after a core has started until its edges have come: they ask again after 5 s at the latest.
GATHER = 6.0
_AGAIN = 1.0


class ProbeDesk:
    """
    That of one core. A tunnel is asked for once at a time, however many want its name.

    An edge whose stream no core has is cut off. But of one that has not come since this core started, that is not said
    before it has had its time.
    """

    def __init__(self, clock: IReactorTime, asks: Asks, desk: OrderDesk) -> None:
        self._clock = clock
        self._asks = asks
        self._desk = desk
        self._gathered = clock.seconds() + GATHER
        self._waiting: dict[str, list[Deferred[How | None]]] = {}

    def ask(self, holder: Holder) -> Deferred[How | None]:
        """Fires with how its names may be taken over; None where its client answers. Fails with `LedgerAway`."""
        waiting: Deferred[How | None] = Deferred()
        others = self._waiting.setdefault(holder.tunnel, [])
        others.append(waiting)
        if len(others) == 1:
            Deferred.fromCoroutine(self._ask(holder)).addBoth(self._tell, holder.tunnel)
        return waiting

    def _tell(self, result: How | Failure | None, tunnel: str) -> None:
        for each in self._waiting.pop(tunnel):
            each.callback(result)

    async def _ask(self, holder: Holder) -> How | None:
        while True:
            answer = await self._asks.put(holder.edge, lambda ask: Probe(ask=ask, tunnel=holder.tunnel), Probed, WAIT)
            if isinstance(answer, Probed):
                return None if answer.alive else How.DEAD
            left = self._gathered - self._clock.seconds()
            if answer is NoAnswer.SILENT or left <= 0 or self._desk.has_come(holder.edge):
                return How.UNREACHABLE
            await deferLater(self._clock, min(left, _AGAIN))

"""
Do the clients of this edge still answer? The core asks where somebody else wants what a tunnel has.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.client import Client
from pinggy.edge.core_client import CoreClient
from pinggy.edge.tunnels import Tunnels
from pinggy.tunnel.endings import ClientSilent
from pinggy.tunnel.refusals import Refusal
from pinggy.wire.orders import Probe, Probed

log = Logger()

BOUND = 2.0  # seconds in which a client must answer


class Pings:
    """Those under way. Whoever does not answer within the bound has no tunnel any more."""

    def __init__(self, *, core: CoreClient, tunnels: Tunnels, clock: IReactorTime) -> None:
        self._core = core
        self._tunnels = tunnels
        self._clock = clock
        self._in_hand: set[Deferred[None]] = set()

    def ping(self, order: Probe) -> None:
        """Ping the client of the tunnel, and tell the core."""
        over = Deferred.fromCoroutine(self._ping(order)).addErrback(self._broke)
        self._in_hand.add(over)
        over.addBoth(lambda _: self._in_hand.discard(over))

    def stop(self) -> None:
        for each in list(self._in_hand):
            each.cancel()

    async def _ping(self, order: Probe) -> None:
        tunnel = self._tunnels.begun(order.tunnel)
        alive = tunnel is not None and await answers(tunnel.client, self._clock)
        if tunnel is not None and not alive:
            # Not waited for: the core takes the name away by itself.
            tunnel.end(ClientSilent.of(BOUND))
        try:
            await self._core.probed(Probed(ask=order.ask, alive=alive))
        except Refusal as refusal:
            log.debug("the answer to a probe was not heard: {why}", why=refusal.text)

    def _broke(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("a probe broke", failure)


async def answers(client: Client, clock: IReactorTime) -> bool:
    """Whether *client* answers a ping within the bound."""
    probe = client.probe()
    bound = clock.callLater(BOUND, probe.cancel)
    try:
        await probe
    except Refusal:
        return False
    except CancelledError:
        if bound.active():
            raise  # whoever asked is not waited for any more
        return False
    finally:
        if bound.active():
            bound.cancel()
    return True

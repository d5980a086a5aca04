"""
One tunnel looked at from here to the local servers: the operator asks, through the core, whether it would serve.

A channel is opened for each forwarding, as for a visitor, so the client connects to the local server; then it is
closed. Not a byte is sent: what a request would do there is not for us to know.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import islice
from typing import Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.client import Client, Peer
from pinggy.edge.core_client import CoreClient
from pinggy.edge.stream import Stream, StreamRefused
from pinggy.edge.tunnels import LiveForwarding, LiveTunnel, Tunnels
from pinggy.tunnel.refusals import Refusal
from pinggy.wire.orders import Examine, Examined, LocalServer

log = Logger()

T = TypeVar("T")

PING_BOUND = 2.0  # seconds for the client to answer a ping
OPEN_BOUND = 3.0  # seconds for it to connect to a local server; together well within what the core waits for
MOST_LOOKED_AT = 25  # forwardings of one tunnel: the answer is to stay short
# No visitor's: the client's own log says so, where it is asked to say anything.
NOBODY = Peer("127.0.0.1", 0)


class Examination:
    """Those under way. They count as no visitors, and nothing is ended by them."""

    def __init__(self, *, core: CoreClient, tunnels: Tunnels, clock: IReactorTime) -> None:
        self._core = core
        self._tunnels = tunnels
        self._clock = clock
        self._in_hand: set[Deferred[None]] = set()

    def examine(self, order: Examine) -> None:
        """Look at the tunnel, and tell the core."""
        over = Deferred.fromCoroutine(self._examine(order)).addErrback(self._broke)
        self._in_hand.add(over)
        over.addBoth(lambda _: self._in_hand.discard(over))

    def stop(self) -> None:
        for each in list(self._in_hand):
            each.cancel()

    async def _examine(self, order: Examine) -> None:
        tunnel = self._tunnels.get(order.tunnel)
        if tunnel is None:
            examined = Examined(ask=order.ask, held=False)
        else:
            ping, *ways = await _all(
                self._ping(tunnel.client), *(self._way(tunnel, each) for each in self._forwardings(tunnel))
            )
            examined = Examined(ask=order.ask, held=True, ping=ping, local_servers=tuple(ways))
        try:
            await self._core.examined(examined)
        except Refusal as refusal:
            log.debug("the answer to an examination was not heard: {why}", why=refusal.text)

    def _forwardings(self, tunnel: LiveTunnel) -> list[LiveForwarding]:
        return list(islice((each for each in self._tunnels.names() if each.tunnel is tunnel), MOST_LOOKED_AT))

    async def _ping(self, client: Client) -> float | None:
        """Seconds; None where the client does not answer."""
        began = self._clock.seconds()
        try:
            await self._within(PING_BOUND, client.probe)
        except (Refusal, TimeoutError):
            return None
        return self._clock.seconds() - began

    async def _way(self, tunnel: LiveTunnel, live: LiveForwarding) -> LocalServer:
        trouble = ""
        try:
            stream: Stream = await self._within(OPEN_BOUND, lambda: tunnel.client.open_stream(live.forwarding, NOBODY))
            stream.abort()
        except StreamRefused as refused:
            trouble = str(refused)
        except TimeoutError:
            trouble = f"The client's ssh did not connect to the local server within {OPEN_BOUND:g} seconds."
        return LocalServer(number=live.forwarding.number, name=live.forwarding.name, trouble=trouble)

    async def _within(self, seconds: float, begin: Callable[[], Deferred[T]]) -> T:
        """What *begin* begins. Raises TimeoutError where it takes longer; it is cancelled then."""
        call = begin()
        bound = self._clock.callLater(seconds, call.cancel)
        try:
            return await call
        except CancelledError:
            if bound.active():
                raise  # by `stop`
            raise TimeoutError from None
        finally:
            if bound.active():
                bound.cancel()

    def _broke(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            log.failure("an examination broke", failure)


async def _all(*work: Coroutine[Deferred[Any], Any, Any]) -> list[Any]:
    """What each comes to, all at once. Where one fails, it fails when the others are over: nothing is left of them."""
    outcomes = await DeferredList([Deferred.fromCoroutine(each) for each in work], consumeErrors=True)
    for well, outcome in outcomes:
        if not well:
            cast(Failure, outcome).raiseException()
    return [outcome for _, outcome in outcomes]

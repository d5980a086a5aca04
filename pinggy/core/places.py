"""
Where names live: what edges ask when a visitor names a tunnel that they do not have, and what they are told of places
without asking.

A name that is changing hands is worth a little patience: the answer then waits until the new owner is live. A name that
nobody has is answered at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pinggy.core.ledger import EdgeEntry, Ended, Ledger, NewOrder, Transaction
from pinggy.core.news import NamesLive, News
from pinggy.core.place_book import Whereabouts
from pinggy.tunnel import endings
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.names import parse_label
from pinggy.tunnel.refusals import LimitReached, MalformedMessage, NotFound
from pinggy.wire.orders import Displaced, Placed
from pinggy.wire.places import Place, Where

PATIENCE = 2.0  # seconds that an answer waits for a new owner
LOOK_AGAIN = 0.1  # seconds between two looks, where no news wakes whoever waits
MOST_ASKED = 256  # questions of one edge at a time
# Seconds after its end in which a name that left for one of these reasons is expected back; and an edge that had it is
# told where it went.
COMES_BACK = 10.0
_RETURNS = frozenset(
    each.code
    for each in (
        endings.TakenOver,
        endings.EdgeDraining,
        endings.EdgeStopping,
        endings.LeaseLost,
        endings.ClientSilent,
        endings.EdgeCutOff,
    )
)
STAYS = 300.0  # seconds for which an edge of another region listens at the port of a tunnel that has left it
_HIGHEST = 2**63 - 1


class Places:
    """*news* tells it of names that have become live; it looks again by itself too."""

    def __init__(self, clock: IReactorTime, ledger: Ledger, news: News) -> None:
        self._clock = clock
        self._ledger = ledger
        self._asked: Counter[str] = Counter()
        self._asleep: dict[str, list[Deferred[None]]] = {}
        news.hear(NamesLive, self._woken)

    def where(self, edge: EdgeEntry, message: Where) -> Deferred[Place]:
        """Fails with `NotFound` where nobody has the name, with `LimitReached` where *edge* has asked too much."""
        if not 0 <= message.beyond <= _HIGHEST:
            raise MalformedMessage("Where.beyond is out of its bounds.")
        parse_label(message.name)
        if self._asked[edge.name] >= MOST_ASKED:
            raise LimitReached(f"This edge has {MOST_ASKED} questions for places open already.")
        self._asked[edge.name] += 1
        return Deferred.fromCoroutine(self._where(message)).addBoth(self._answered, edge.name)

    def _woken(self, news: NamesLive) -> None:
        for name in news.names:
            for each in self._asleep.pop(name, []):
                each.callback(None)

    async def _where(self, message: Where) -> Place:
        until = self._clock.seconds() + PATIENCE
        while True:
            found = await self._ledger.look(lambda ledger: ledger.whereabouts(message.name))
            if found.live and found.epoch > message.beyond:
                if found.place is None:
                    raise NotFound("The edge of this name takes no visitors from other edges.")
                return found.place
            if not _is_expected(found, message.beyond) or self._clock.seconds() >= until:
                raise NotFound("Nobody has this name.")
            await self._sleep(message.name, min(LOOK_AGAIN, until - self._clock.seconds()))

    def _sleep(self, name: str, seconds: float) -> Deferred[None]:
        asleep: Deferred[None] = Deferred()
        self._asleep.setdefault(name, []).append(asleep)
        bound: IDelayedCall = self._clock.callLater(max(0.0, seconds), self._overslept, name, asleep)

        def awake(result: None) -> None:
            if bound.active():
                bound.cancel()

        return asleep.addCallback(awake)

    def _overslept(self, name: str, asleep: Deferred[None]) -> None:
        self._asleep[name].remove(asleep)
        if not self._asleep[name]:
            del self._asleep[name]
        asleep.callback(None)

    def _answered(self, result: object, edge: str) -> object:
        self._asked[edge] -= 1
        if not self._asked[edge]:
            del self._asked[edge]
        return result


def _is_expected(found: Whereabouts, beyond: int) -> bool:
    """Whether somebody who is not there yet is about to be."""
    if found.epoch:
        # Granted and not live yet; or live, and whoever asks has not met it there.
        return True
    if found.left is None or found.left_since > COMES_BACK:
        return False
    return found.left in _RETURNS or 0 < found.left_epoch <= beyond


# -- what edges are told without asking -----------------------------------------------------------------------------


async def placed(ledger: Transaction, tunnel: str, numbers: Collection[int]) -> list[NewOrder]:
    """
    The orders that say where these forwardings of *tunnel* live now: to the edges that had their names until just
    now; and of a port, to the other edges of its region, which listen at it too.
    """
    orders = []
    for moved in await ledger.moved(tunnel, numbers):
        orders += [NewOrder(edge=edge, order=Placed(place=moved.place)) for edge in moved.neighbours]
        seconds = None if moved.place.public_port is None else STAYS
        orders += [NewOrder(edge=edge, order=Placed(place=moved.place, seconds=seconds)) for edge in moved.left]
    return orders


async def displaced(ledger: Transaction, edge: str, gone: Sequence[Forwarding]) -> list[NewOrder]:
    """The orders that say that ports of *gone*, at *edge*, are nobody's any more: to the other edges of its region."""
    ports = [forwarding for forwarding in gone if forwarding.port is not None]
    return [
        NewOrder(edge=neighbour, order=Displaced(name=forwarding.name, epoch=forwarding.epoch))
        for neighbour in (await ledger.neighbours(edge) if ports else ())
        for forwarding in ports
    ]


async def displaced_by(ledger: Transaction, ended: Sequence[Ended]) -> list[NewOrder]:
    """The same for all ports of the tunnels *ended*."""
    return [order for each in ended for order in await displaced(ledger, each.edge, each.forwardings)]

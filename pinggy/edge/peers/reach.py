"""
From a name to a stream at another edge: the place, a link to it, its verdict; and again where the tunnel has moved on.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from pinggy.edge.elsewhere import Elsewhere, Here, Mode, NotReached, Nowhere, Passage, Passed
from pinggy.edge.metrics import EdgeMetrics
from pinggy.edge.peers.greeting import Verdict, said
from pinggy.edge.peers.link import LinkLost
from pinggy.edge.peers.links import Links
from pinggy.edge.peers.places import Places, PlaceUnknown
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.wire.places import Place

PATIENCE = 2.0  # seconds that a visitor waits for an owner, all in all
_SPOKEN = {Mode.CONNECTION: "tls", Mode.HTTP: "http", Mode.TCP: "tcp"}


class Reach(Elsewhere):
    """Of the edge *edge*, which has *tunnels* itself."""

    def __init__(
        self,
        *,
        edge: str,
        domain: str,
        places: Places,
        links: Links,
        tunnels: Tunnels,
        clock: IReactorTime,
        metrics: EdgeMetrics,
    ) -> None:
        self._edge = edge
        self._domain = domain
        self._places = places
        self._links = links
        self._tunnels = tunnels
        self._clock = clock
        self._metrics = metrics

    def has_moved(self, name: str, epoch: int) -> bool:
        place = self._places.remembered(name)
        return place is not None and place.epoch > epoch

    def reach(self, passage: Passage) -> Deferred[Passed | Here | Nowhere]:
        def late(result: object, seconds: float) -> Passed | Here | Nowhere:
            self._places.doubt(passage.name)
            self._metrics.relay_refused("unreachable")
            raise NotReached

        return Deferred.fromCoroutine(self._reach(passage)).addTimeout(PATIENCE + 0.5, self._clock, late)

    async def _reach(self, passage: Passage) -> Passed | Here | Nowhere:
        until = self._clock.seconds() + PATIENCE
        beyond = passage.beyond
        while True:
            try:
                place = await self._places.find(passage.name, beyond)
            except PlaceUnknown:
                raise self._not_reached() from None
            if place is None:
                return self._nowhere(has_met=beyond > passage.beyond)
            if not passage.mode.suits(place.kind):
                return Nowhere(place.kind)
            if place.edge == self._edge:
                live = await self._here(place, until)
                if live is not None:
                    return Here(live)
            else:
                passed = await self._pass(place, passage)
                if passed is not None:
                    return passed
            beyond = place.epoch
            if self._clock.seconds() >= until:
                raise self._not_reached()

    async def _here(self, place: Place, until: float) -> LiveForwarding | None:
        """The ledger says that it is this very edge that has it: it will in a moment, or it had it until just now."""
        if self._tunnels.has_left(place.name, place.epoch):
            return None
        awaited = self._tunnels.awaited(place.name, place.epoch)
        bound = self._clock.callLater(max(0.0, until - self._clock.seconds()), awaited.cancel)
        try:
            return await awaited
        except CancelledError:
            if bound.active():
                raise
            return None
        finally:
            if bound.active():
                bound.cancel()

    async def _pass(self, place: Place, passage: Passage) -> Passed | None:
        try:
            link, verdict = await self._links.ask(place, said(passage, place.epoch, self._domain), passage.first)
        except LinkLost:
            return None
        match verdict:
            case Verdict.HERE:
                self._metrics.relayed_out(_SPOKEN[passage.mode])
                return Passed(link.stream, place.epoch)
            case Verdict.FULL:
                self._metrics.relay_refused("limit")
                raise NotReached(full=True)
            case Verdict.NOT_HERE:
                return None

    def _nowhere(self, *, has_met: bool) -> Nowhere:
        if has_met:
            raise self._not_reached()
        self._metrics.relay_refused("unknown")
        return Nowhere()

    def _not_reached(self) -> NotReached:
        self._metrics.relay_refused("unreachable")
        return NotReached()

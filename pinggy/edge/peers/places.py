"""
Where names live, as this edge knows it: asked of the core, told by its orders, and remembered for a while.

Strangers choose the names that are asked for, so all of it is bounded: what is remembered, and what is asked at a time.
While the core is away, places that it said are used as they are: the edge there knows whether it has the tunnel.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from pinggy.edge.core_client import CoreClient
from pinggy.tunnel.names import parse_label
from pinggy.tunnel.refusals import MalformedName, NotFound, Refusal
from pinggy.wire.places import Place, Where

FRESH = 5.0  # seconds for which a place is believed without asking again
NOBODY = 1.0  # and that nobody has a name
MOST_KNOWN = 10_000
MOST_ASKED = 64  # questions at a time
PATIENCE = 0.5  # seconds for which a newer answer is awaited where an older one is known


@dataclass(slots=True)
class _Known:
    place: Place | None
    until: float


class PlaceUnknown(Exception):
    """The core does not answer, or is asked enough already, and nothing is remembered."""


class Places:
    def __init__(self, *, core: CoreClient, clock: IReactorTime) -> None:
        self._core = core
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._asked: dict[tuple[str, int], list[Deferred[Place | None]]] = {}

    def find(self, name: str, beyond: int = 0) -> Deferred[Place | None]:
        """
        Where the label *name* lives, by a newer epoch than *beyond*; None where nobody has it. Fails with
        `PlaceUnknown`. It may take as long as the core lets a name change hands: to cancel it lets go of it.
        """
        return Deferred.fromCoroutine(self._find(name, beyond))

    def remembered(self, name: str) -> Place | None:
        """As the core last said it, however long ago."""
        known = self._known.get(name)
        return None if known is None else known.place

    def learn(self, place: Place) -> None:
        """The core says so, without having been asked."""
        known = self.remembered(place.name)
        if known is None or known.epoch <= place.epoch:
            self._remember(place.name, place, FRESH)

    def forget(self, name: str, epoch: int) -> None:
        """Nobody has *name* by *epoch* any more."""
        known = self.remembered(name)
        if known is not None and known.epoch <= epoch:
            del self._known[name]

    def doubt(self, name: str) -> None:
        """Nothing has come from the place of *name*: ask again before it is believed once more."""
        known = self._known.get(name)
        if known is not None:
            known.until = self._clock.seconds()

    async def _find(self, name: str, beyond: int) -> Place | None:
        known = self._known.get(name)
        if known is not None and known.until > self._clock.seconds():
            if known.place is None and not beyond:
                return None
            if known.place is not None and known.place.epoch > beyond:
                return known.place
        try:
            parse_label(name)
        except MalformedName:
            return None
        older = None if known is None or known.place is None or known.place.epoch <= beyond else known.place
        try:
            return await self._ask(name, beyond, older)
        except PlaceUnknown:
            if older is None:
                raise
            return older

    def _ask(self, name: str, beyond: int, older: Place | None) -> Deferred[Place | None]:
        """One question at a time for each name; whoever asks the same waits for its answer."""
        key = (name, beyond)
        is_asked = key in self._asked
        if not is_asked and len(self._asked) >= MOST_ASKED:
            return fail(PlaceUnknown())
        waiting = self._asked.setdefault(key, [])
        answer: Deferred[Place | None] = Deferred(waiting.remove)
        waiting.append(answer)
        if not is_asked:
            self._core.where(Where(name=name, beyond=beyond)).addBoth(self._answered, key)
        if older is not None and not answer.called:
            answer.addTimeout(PATIENCE, self._clock, lambda _, __: older)
        return answer

    def _answered(self, result: object, key: tuple[str, int]) -> None:
        waiting = self._asked.pop(key)
        name = key[0]
        place: Place | None = None
        error = getattr(result, "value", None)
        if isinstance(result, Place):
            place = result
            self.learn(place)
        elif isinstance(error, NotFound):
            known = self.remembered(name)
            # A newer one may have been told meanwhile.
            if known is None or known.epoch <= key[1] or not key[1]:
                self._remember(name, None, NOBODY)
        else:
            while waiting:
                waiting.pop(0).errback(PlaceUnknown())
            if not isinstance(error, Refusal):
                raise AssertionError(f"the core's client failed with {result!r}")
            return
        while waiting:
            waiting.pop(0).callback(place)

    def _remember(self, name: str, place: Place | None, seconds: float) -> None:
        self._known.pop(name, None)
        self._known[name] = _Known(place, self._clock.seconds() + seconds)
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]

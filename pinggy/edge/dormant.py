"""
Tunnels whose clients have left while the core does not answer: kept for them to come back to.

A dormant tunnel has no names here, but nothing is given back: its records stand, and the ledger still has it. A client
that shows the same credential is let in by the tunnel's ticket and resumes it, under its old id and epochs. What nobody
has come back to is given back when its ticket is over, or when the core answers again and has done so for a while.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pinggy.dns.zone import NameRecord, Zone, ZoneError
from pinggy.edge.core_client import CoreClient
from pinggy.edge.pings import BOUND, answers
from pinggy.edge.tickets import HeldTicket, TicketCheck
from pinggy.edge.tunnels import LiveTunnel
from pinggy.tunnel.endings import ClientLeft, ClientSilent
from pinggy.tunnel.grant import Forwarding, Identity, Limits
from pinggy.tunnel.refusals import CoreAway, Refusal
from pinggy.tunnel.request import ForwardRequest
from pinggy.wire.messages import Credential, Holding, Nobody, Release, Usage
from pinggy.wire.ticket import digest_of

log = Logger()

MOST = 10_000
PATIENCE = 10.0  # seconds that the core answers again until what nobody has come back to is given back
_AT_ONCE = 500  # dormant tunnels that are given back between two renewals


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One forwarding, as it was asked for, granted and published."""

    request: ForwardRequest
    forwarding: Forwarding
    record: NameRecord

    def answers(self, request: ForwardRequest) -> bool:
        """Whether *request* asks for the same once more."""
        mine = self.request
        return (mine.kind, mine.host, mine.port) == (request.kind, request.host, request.port)


@dataclass(slots=True, kw_only=True, eq=False)
class Dormant:
    """*woken*: its client is back, and has yet to ask for these *grants*. *since* is the clock's."""

    held: HeldTicket
    limits: Limits
    usage: Usage
    grants: list[Grant]
    since: float = 0.0
    woken: bool = False

    @property
    def tunnel(self) -> str:
        return self.held.ticket.tunnel


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """
    What a client gets of *dormant* for its requests, one of *grants* for each, None where it has no such thing.
    *again*: it is that tunnel already, and gets more of it.
    """

    dormant: Dormant
    grants: tuple[Grant | None, ...]
    again: bool


class Fate(Enum):
    """What has become of a tunnel that came to be parted with."""

    KEPT = auto()
    RELEASED = auto()  # its names in the zone are yet to go
    NEITHER = auto()


class Dormants:
    def __init__(self, *, core: CoreClient, zone: Zone, check: TicketCheck, clock: IReactorTime) -> None:
        self.check = check
        self._core = core
        self._zone = zone
        self._clock = clock
        self._all: dict[str, Dormant] = {}
        self._by_credential: dict[str, list[Dormant]] = {}
        self._awake: dict[str, dict[str, LiveTunnel]] = {}
        self._answers_since: float | None = None

    def __len__(self) -> int:
        return len(self._all)

    # -- awake --------------------------------------------------------------------------------------------------------

    def holds(self, live: LiveTunnel) -> None:
        """*live* has a client, who may turn out to be dead when a newer session shows the same credential."""
        if live.ticket is not None:
            self._awake.setdefault(live.ticket.ticket.credential, {})[live.id] = live

    def parted(self, live: LiveTunnel | None) -> None:
        if live is None or live.ticket is None:
            return
        credential = live.ticket.ticket.credential
        if self._awake.get(credential, {}).pop(live.id, None) is not None and not self._awake[credential]:
            del self._awake[credential]

    def _held_by(self, credential: Credential) -> list[LiveTunnel]:
        if isinstance(credential, Nobody):
            return []
        return list(self._awake.get(digest_of(credential), {}).values())

    async def _lay_ghosts(self, credential: Credential) -> bool:
        """Whether any tunnel of *credential* had a client who does not answer: it is dormant now."""

        async def lay(live: LiveTunnel) -> bool:
            dead = not await answers(live.client, self._clock)
            if dead:
                await live.end(ClientSilent.of(BOUND))
            return dead

        return any(await gatherResults([Deferred.fromCoroutine(lay(each)) for each in self._held_by(credential)]))

    # -- to sleep -----------------------------------------------------------------------------------------------------

    async def part(self, dormant: Dormant, code: str) -> Fate:
        """Its client has left: release the tunnel, or keep it where the core does not answer."""
        if not dormant.held.ticket.covers([each.forwarding for each in dormant.grants]):
            return Fate.NEITHER
        try:
            await self._core.release(Release(tunnel=dormant.tunnel, code=code, usage=dormant.usage))
        except CoreAway:
            return Fate.KEPT if self._keep(dormant) else Fate.NEITHER
        except Refusal:
            return Fate.NEITHER
        return Fate.RELEASED

    def _keep(self, dormant: Dormant) -> bool:
        rest = self._all.get(dormant.tunnel)
        if rest is not None:
            # What its client did not ask for again.
            self._forget(rest)
            dormant.grants += rest.grants
        if len(self._all) >= MOST or not self.check.is_good(dormant.held):
            return False
        dormant.since = self._clock.seconds()
        dormant.woken = False
        self._note(dormant)
        log.info("tunnel {tunnel} is kept for its client: the core does not answer", tunnel=dormant.tunnel)
        return True

    # -- to wake ------------------------------------------------------------------------------------------------------

    def identity_of(self, credential: Credential) -> Identity | None:
        """Whose tunnels may be resumed with *credential*, if its client is gone; None where there are none."""
        held = [each.held for each in self._of(credential) if not each.woken]
        held += [each.ticket for each in self._held_by(credential) if each.ticket and self.check.is_good(each.ticket)]
        return held[0].ticket.identity if held else None

    async def wake(
        self, credential: Credential, requests: Sequence[ForwardRequest], tunnel: str | None
    ) -> Resumed | None:
        """
        The dormant tunnel that has most of what is asked for; None where none has anything. Clients who might be dead
        are pinged before. Or, for a *tunnel* that has been resumed, of what is left of that.
        """
        best = self._best(credential, requests, tunnel)
        if best is None and tunnel is None and await self._lay_ghosts(credential):
            best = self._best(credential, requests, tunnel)
        if best is not None:
            dormant = best.dormant
            dormant.woken = True
            dormant.grants = [each for each in dormant.grants if each not in best.grants]
            if not dormant.grants:
                self._forget(dormant)
        return best

    def _best(self, credential: Credential, requests: Sequence[ForwardRequest], tunnel: str | None) -> Resumed | None:
        best: Resumed | None = None
        for dormant in self._of(credential):
            if dormant.tunnel != tunnel if dormant.woken else tunnel is not None:
                continue
            resumed = _match(dormant, requests)
            if _found(resumed) > (0 if best is None else _found(best)):
                best = resumed
        return best

    def put_back(self, resumed: Resumed) -> None:
        """It came to nothing: its client may try again, and who is that tunnel already keeps the rest."""
        dormant = resumed.dormant
        dormant.grants += [each for each in resumed.grants if each is not None]
        dormant.woken = resumed.again
        if dormant.tunnel not in self._all:
            self._note(dormant)

    def _of(self, credential: Credential) -> list[Dormant]:
        """Those whose ticket is for *credential*, and still good."""
        if isinstance(credential, Nobody):
            return []
        digest = digest_of(credential)
        return [
            each
            for each in self._by_credential.get(digest, ())
            if hmac.compare_digest(each.held.ticket.credential, digest) and self.check.read(each.held.text) is not None
        ]

    def _note(self, dormant: Dormant) -> None:
        self._all[dormant.tunnel] = dormant
        self._by_credential.setdefault(dormant.held.ticket.credential, []).append(dormant)

    def _forget(self, dormant: Dormant) -> None:
        del self._all[dormant.tunnel]
        credential = dormant.held.ticket.credential
        self._by_credential[credential].remove(dormant)
        if not self._by_credential[credential]:
            del self._by_credential[credential]

    # -- the core -----------------------------------------------------------------------------------------------------

    def usages(self) -> list[Usage]:
        """For the renewal of their leases."""
        return [each.usage for each in self._all.values() if not each.woken]

    def holdings(self) -> list[Holding]:
        """What the ledger has, and visitors are not served by for a while."""
        return [
            Holding(tunnel=each.tunnel, name=grant.forwarding.name, epoch=grant.forwarding.epoch)
            for each in self._all.values()
            for grant in each.grants
        ]

    async def renewed(self, answered: bool, lost: Collection[str] = ()) -> None:
        """The core was asked, and has *lost* some: give back what it is time to."""
        now = self._clock.seconds()
        if not answered:
            self._answers_since = None
        elif self._answers_since is None:
            self._answers_since = now
        await self._withdraw(self._taken(lambda each: each.tunnel in lost))
        over = self._taken(lambda each: not self.check.is_good(each.held))
        await self._withdraw(over)
        if self._answers_since is not None:
            since = self._answers_since
            due = self._taken(lambda each: now - max(since, each.since) >= PATIENCE)
            await self._release(over + due)
            await self._withdraw(due)

    async def give_back_all(self) -> None:
        """The edge stops."""
        everything = [*self._all.values()]
        self._all.clear()
        self._by_credential.clear()
        await self._withdraw(everything)
        await self._release(everything)

    def _taken(self, which: Callable[[Dormant], bool]) -> list[Dormant]:
        """Those *which*, so many as can be given back between two renewals; nobody can wake them any more."""
        found = [each for each in self._all.values() if which(each)][:_AT_ONCE]
        for each in found:
            self._forget(each)
        return found

    async def _release(self, dormants: Sequence[Dormant]) -> None:
        for each in dormants:
            numbers = tuple(grant.forwarding.number for grant in each.grants) if each.woken else None
            try:
                await self._core.release(Release(tunnel=each.tunnel, code=ClientLeft.code, numbers=numbers))
            except CoreAway:
                # Nobody renews them any more: their leases end them.
                return
            except Refusal as refusal:
                log.warn("could not release tunnel {tunnel}: {why}", tunnel=each.tunnel, why=refusal.text)

    async def _withdraw(self, dormants: Sequence[Dormant]) -> None:
        records = [grant.record for each in dormants for grant in each.grants]
        if records:
            try:
                await self._zone.withdraw(records)
            except ZoneError as error:
                log.warn("could not withdraw the names of tunnels that nobody came back to: {error}", error=error)


def _match(dormant: Dormant, requests: Sequence[ForwardRequest]) -> Resumed:
    left = list(dormant.grants)
    found: list[Grant | None] = []
    for request in requests:
        grant = next((each for each in left if each.answers(request)), None)
        found.append(grant)
        if grant is not None:
            left.remove(grant)
    return Resumed(dormant=dormant, grants=tuple(found), again=dormant.woken)


def _found(resumed: Resumed) -> int:
    return sum(each is not None for each in resumed.grants)

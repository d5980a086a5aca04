"""
THE chain: what a client asks for becomes live, and is undone when a step fails or the client leaves in between.

    authorize -> bind -> publish -> probe -> live

Each step waits for the one before. `Opening.undo` takes back whatever was done, in the reverse order; it is the same
for a failed step, a withdrawn forwarding and the end of the tunnel, because each of its parts is harmless where there
is nothing to take back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pinggy.dns.zone import NameRecord, Probe, Zone, ZoneError
from pinggy.edge.client import Client
from pinggy.edge.core_client import CoreClient
from pinggy.edge.dormant import Dormant, Dormants, Grant, Resumed
from pinggy.edge.metrics import EdgeMetrics
from pinggy.edge.ports import BoundPort, Ports, PortTaken
from pinggy.edge.tickets import HeldTicket
from pinggy.edge.tunnels import LiveForwarding, Tunnels
from pinggy.tunnel.addresses import PublicFace
from pinggy.tunnel.grant import Forwarding, Limits
from pinggy.tunnel.refusal_codes import from_wire
from pinggy.tunnel.refusals import CoreAway, PortNotBound, Refusal, ZoneAway
from pinggy.tunnel.request import ForwardRequest
from pinggy.wire.messages import Authorize, Authorized, Credential, Granted, Live, Lost, Refused, Release, Usage, Want
from pinggy.wire.orders import GRACE

log = Logger()

TRIES = 3  # a port that another program had is worth another question


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """
    What every opening of an edge works with. *target* is the host of the edge's region; *closed* says why nobody
    is let in at the moment, if so.
    """

    core: CoreClient
    zone: Zone
    probe: Probe
    ports: Ports
    tunnels: Tunnels
    face: PublicFace
    target: str
    clock: IReactorTime
    dormants: Dormants
    closed: Callable[[], Refusal | None] = lambda: None
    metrics: EdgeMetrics = field(default_factory=EdgeMetrics)


@dataclass(slots=True, eq=False)
class Ask:
    """One forwarding asked for, and what has been done for it so far. *answer* fires when it is live."""

    number: int
    request: ForwardRequest
    answer: Deferred[Forwarding] = field(default_factory=Deferred)
    forwarding: Forwarding | None = None
    proof: str = ""
    published: bool = False
    took: str = ""
    bound: BoundPort | None = None
    live: LiveForwarding | None = None

    @property
    def want(self) -> Want:
        request = self.request
        return Want(number=self.number, kind=request.kind, name=request.host, port=request.port)


class StopWatch:
    """Where the time of setting up goes, step by step: *seconds* for the metrics, milliseconds for the log."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._since = clock.seconds()
        self.seconds: dict[str, float] = {}

    def step(self, name: str) -> None:
        now = self._clock.seconds()
        self.seconds[name] = now - self._since
        self._since = now

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds * 1000:.1f}" for name, seconds in self.seconds.items()) + " ms"


class Owner(Protocol):
    """The tunnel that a chain opens forwardings for."""

    def check_wanted(self) -> None:
        """Raises the `Refusal` that has ended the tunnel, or by which nobody is let in any more, if there is one."""
        ...

    @property
    def ticket(self) -> str:
        """The core's for this tunnel, empty where there is none."""
        ...

    def accept_terms(self, authorized: Authorized) -> None: ...

    def resume(self, dormant: Dormant, numbers: Mapping[int, int]) -> None:
        """From now on it is that tunnel; its asks have other *numbers*."""
        ...

    def part_from(self) -> str:
        """It is not that tunnel after all; the answer is the id of the new one that it is."""
        ...

    def refuse(self, asks: Iterable[Ask], refusal: Refusal) -> None: ...

    def usage(self) -> Usage | None: ...


@dataclass(slots=True, kw_only=True, eq=False)
class Opening:
    """
    The chain of one tunnel; one batch of asks goes through it at a time. *by_ticket*: the client was let in while the
    core did not answer, for a tunnel that it had here.
    """

    parts: Parts
    owner: Owner
    client: Client
    tunnel: str
    credential: Credential
    force: bool
    by_ticket: bool = False
    _has_begun: bool = False

    async def open(self, batch: list[Ask]) -> list[Ask]:
        """Returns those that are granted, published and confirmed; all others have been refused and undone."""
        granted: list[Ask] = []
        lost: list[Lost] = []
        watch = StopWatch(self.parts.clock)
        resumed: Resumed | None = None
        try:
            resumed = await self._grant(batch, granted, lost)
            watch.step("authorize")
            if granted:
                await self._publish(granted)
                watch.step("publish")
                await self._confirm(granted)
                watch.step("probe")
                if resumed is None:
                    await self._say_live(granted)
                    watch.step("live")
        except Refusal as refusal:
            # The whole batch: where the core's answer was lost, its grant was not.
            if resumed is None:
                await self.undo(batch, refusal.code)
            else:
                self._put_back(resumed, batch)
            self.owner.refuse(batch, refusal)
            return []
        finally:
            # The new owner's record stands by now; where it could not, the old owner has lost its names all the same.
            self._end_lost(lost)
        if granted:
            self.parts.metrics.opened(watch.seconds)
        for ask in granted:
            ask.took = str(watch)
        return granted

    async def undo(
        self,
        asks: Iterable[Ask],
        code: str,
        whole: bool = False,
        *,
        released: bool = False,
        linger: Deferred[None] | None = None,
    ) -> None:
        """
        Take back what was done for *asks*; with *whole*, the tunnel itself, for the reason *code*. *released*: the core
        knows already. The records stand until *linger* fires.

        What cannot be taken back is logged: the lease will.
        """
        asks = list(asks)
        records = self._records(ask for ask in asks if ask.published)
        numbers = None if whole else tuple(ask.number for ask in asks)
        for ask in asks:
            self._undo_here(ask)
        if linger is None:
            await self._withdraw(records)
        if (whole or numbers) and not released:
            release = Release(tunnel=self.tunnel, code=code, numbers=numbers, usage=self.owner.usage())
            try:
                await self.parts.core.release(release)
            except Refusal as refusal:
                log.warn("could not release tunnel {tunnel}: {why}", tunnel=self.tunnel, why=refusal.text)
        if linger is not None:
            await linger
            await self._withdraw(records)

    async def _withdraw(self, records: list[NameRecord]) -> None:
        if not records:
            return
        try:
            await self.parts.zone.withdraw(records)
        except ZoneError as error:
            log.warn("could not withdraw the names of tunnel {tunnel}: {error}", tunnel=self.tunnel, error=error)

    def close_to_visitors(self, asks: Iterable[Ask]) -> None:
        """From here on nobody finds those of *asks* that are live; those who have are served still."""
        for ask in asks:
            if ask.live is not None:
                self._shut(ask)

    def _undo_here(self, ask: Ask) -> None:
        self._shut(ask)
        ask.forwarding = None
        ask.published = False

    def _shut(self, ask: Ask) -> None:
        if ask.live is not None:
            self.parts.tunnels.remove(ask.live)
        if ask.bound is not None:
            ask.bound.close()
        ask.live = ask.bound = None

    # -- without the core ---------------------------------------------------------------------------------------------

    def sleeping(self, asks: Iterable[Ask], held: HeldTicket, limits: Limits, usage: Usage) -> Dormant:
        """The tunnel with all of *asks*, which are live, as it is kept for its client."""
        grants = [
            Grant(request=ask.request, forwarding=ask.forwarding, record=record)
            for ask in asks
            for record in self._records([ask])
            if ask.forwarding is not None
        ]
        return Dormant(held=held, limits=limits, usage=usage, grants=grants)

    async def _grant(self, batch: list[Ask], granted: list[Ask], lost: list[Lost]) -> Resumed | None:
        """Fill *granted* by what the core says; or, while it does not answer, by what the client had here."""
        if self.by_ticket:
            resumed = await self._resume(batch, granted)
            if resumed is not None:
                return resumed
        try:
            await self._authorize(batch, granted, lost)
        except CoreAway:
            resumed = None if granted else await self._resume(batch, granted)
            if resumed is None:
                raise
            return resumed
        return None

    async def _resume(self, batch: list[Ask], granted: list[Ask]) -> Resumed | None:
        """What is left of this tunnel, if it has been resumed before; a dormant one, if it has nothing yet."""
        mine = self.tunnel if self._has_begun else None
        resumed = await self.parts.dormants.wake(self.credential, [ask.request for ask in batch], mine)
        if resumed is None:
            return None
        self.tunnel, self._has_begun = resumed.dormant.tunnel, True
        found = {ask.number: grant for ask, grant in zip(batch, resumed.grants, strict=True) if grant is not None}
        self.owner.refuse([ask for ask in batch if ask.number not in found], CoreAway.of())
        pairs = [(ask, found[ask.number]) for ask in batch if ask.number in found]
        self.owner.resume(resumed.dormant, {ask.number: grant.forwarding.number for ask, grant in pairs})
        for ask, grant in pairs:
            ask.forwarding, ask.proof = grant.forwarding, grant.record.proof
            granted.append(ask)
        taken: list[int] = []
        self.owner.refuse(await self._bind(granted, taken), PortNotBound.of(taken[-1] if taken else 0))
        return resumed

    def _put_back(self, resumed: Resumed, batch: list[Ask]) -> None:
        for ask in batch:
            self._undo_here(ask)
        if not resumed.again:
            # Whoever resumes it now is that tunnel: what becomes of this client is nothing to it.
            self.tunnel, self._has_begun = self.owner.part_from(), False
        self.parts.dormants.put_back(resumed)

    # -- authorize ------------------------------------------------------------------------------------------------

    async def _authorize(self, batch: list[Ask], granted: list[Ask], lost: list[Lost]) -> None:
        """
        Fill *granted*, and *lost* with the older tunnels that have lost a name to it.

        Those whose port could not be bound are asked for again.
        """
        taken: list[int] = []
        asking = batch
        for _ in range(TRIES):
            authorized = await self._ask_core(asking, taken)
            refused: list[tuple[Ask, Refused]] = []
            for ask, result in zip(asking, authorized.results, strict=True):
                if isinstance(result, Granted):
                    ask.forwarding, ask.proof = result.forwarding, result.proof
                    granted.append(ask)
                else:
                    refused.append((ask, result))
            self._has_begun = True
            self.owner.accept_terms(authorized)
            self.owner.check_wanted()
            lost.extend(authorized.lost)
            if any(ask.forwarding is not None and ask.forwarding.port is not None for ask in granted):
                # A port cannot have two owners, not even for a moment.
                await gatherResults(self._end_lost(lost))
            asking = await self._bind(granted, taken)
            for ask, result in refused:
                self.owner.refuse([ask], from_wire(result.code, result.text))
            self.owner.check_wanted()
            if not asking:
                return
        self.owner.refuse(asking, PortNotBound.of(taken[-1]))

    def _ask_core(self, asking: list[Ask], taken: list[int]) -> Deferred[Authorized]:
        return self.parts.core.authorize(
            Authorize(
                tunnel=self.tunnel,
                credential=self.credential,
                address=self.client.peer.host,
                wants=tuple(ask.want for ask in asking),
                force=self.force,
                taken_ports=tuple(taken),
                ticket=self.owner.ticket,
            )
        )

    def _end_lost(self, lost: list[Lost]) -> list[Deferred[None]]:
        """End those of *lost* that this edge holds; their clients are told by whom they were taken over."""
        olds = [(self.parts.tunnels.begun(each.tunnel), each) for each in lost if each.tunnel != self.tunnel]
        return [old.end(from_wire(each.code, each.text), GRACE) for old, each in olds if old is not None]

    # -- the steps after it -----------------------------------------------------------------------------------------

    async def _bind(self, granted: list[Ask], taken: list[int]) -> list[Ask]:
        """Bind the ports of tcp forwardings; those that another program has are given back and returned."""
        unbound = []
        for ask in granted:
            port = ask.forwarding.port if ask.forwarding else None
            if port is None or ask.bound is not None:
                continue
            try:
                ask.bound = self.parts.ports.bind(port)
            except PortTaken:
                taken.append(port)
                unbound.append(ask)
        for ask in unbound:
            granted.remove(ask)
        await self.undo(unbound, PortNotBound.code)
        return unbound

    async def _publish(self, granted: list[Ask]) -> None:
        for ask in granted:
            ask.published = True
        try:
            await self.parts.zone.publish(self._records(granted))
        except ZoneError as error:
            log.warn("could not publish tunnel {tunnel}: {error}", tunnel=self.tunnel, error=error)
            raise ZoneAway.of() from error
        self.owner.check_wanted()

    async def _confirm(self, granted: list[Ask]) -> None:
        probes = [self.parts.probe.confirm(record) for record in self._records(granted)]
        try:
            await gatherResults(probes, consumeErrors=True)
        except FirstError as first:
            why = first.subFailure.value
            if not isinstance(why, ZoneError):
                raise
            log.warn("the zone does not answer for tunnel {tunnel}: {why}", tunnel=self.tunnel, why=why)
            raise ZoneAway.of() from why
        self.owner.check_wanted()

    async def _say_live(self, granted: list[Ask]) -> None:
        await self.parts.core.live(Live(tunnel=self.tunnel, numbers=tuple(ask.number for ask in granted)))
        self.owner.check_wanted()

    def _records(self, asks: Iterable[Ask]) -> list[NameRecord]:
        face, target = self.parts.face, self.parts.target
        return [
            NameRecord(name=face.host(ask.forwarding.name), target=target, epoch=ask.forwarding.epoch, proof=ask.proof)
            for ask in asks
            if ask.forwarding is not None
        ]

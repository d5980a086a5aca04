"""
The rules of names and ports: what each forwarding that a tunnel wants gets, or why not.

Named wants are served before the default one, in one order for all tunnels, so that two of them do not wait for each
other's names. A name or port is had by claiming it in the ledger, never by looking first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pinggy.core.config import CoreSettings
from pinggy.core.handovers import Handover
from pinggy.core.ledger import Claim, Ended, Held, Holder, Transaction
from pinggy.core.records import Records
from pinggy.core.takeover import How
from pinggy.tunnel import names, refusals
from pinggy.tunnel.grant import Forwarding, Identity
from pinggy.tunnel.refusals import Busy, Fault, LimitReached, NameNotYours, NeedsAccount, PortNotBound, Refusal
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Granted, Refused, Want

# How often a claim is tried anew: a random one that somebody has, or one whose holder went just then.
_ROUNDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """
    The tunnel that claims, at an edge of *region*; a *new* one holds nothing yet. *taken_ports* could not be bound by
    that edge.

    Of older tunnels of its account it takes over those that are *gone*, with *believes_leases* those whose lease is
    over, and every one of them where *force* says how.
    """

    tunnel: str
    region: str
    identity: Identity
    address: str
    taken_ports: frozenset[int]
    new: bool = False
    force: How | None = None
    gone: Mapping[str, How] = field(default_factory=dict)
    believes_leases: bool = False


class Claims:
    """
    The claims of one tunnel within one transaction.

    A want whose number the tunnel holds already is answered with what it holds: the edge did not hear the first
    answer. A named want for the name (or port) that the tunnel's own default forwarding got earlier takes it over,
    with a new epoch: the default one has then come to its end and gets no other.

    After `serve`, *ended* are the tunnels that were taken over, and *met* those of the same account that were not.
    """

    def __init__(self, ledger: Transaction, settings: CoreSettings, records: Records, claimant: Claimant) -> None:
        self._ledger = ledger
        self._settings = settings
        self._records = records
        self._claimant = claimant
        self._account = claimant.identity.account
        self._held: dict[int, Held] = {}
        self._regions: frozenset[str] = frozenset()
        self.ended: list[tuple[Ended, How]] = []
        self.met: dict[str, Holder] = {}

    async def serve(self, wants: Sequence[Want]) -> tuple[Granted | Refused, ...]:
        """One result for each of *wants*, in their order; their numbers are distinct."""
        if not self._claimant.new:
            held = await self._ledger.forwardings(self._claimant.tunnel)
            self._held = {each.forwarding.number: each for each in held}
        self._regions = await self._ledger.regions()
        results = {}
        for want in sorted(wants, key=lambda want: (_is_default(want), want.name or "", want.port or 0, want.number)):
            results[want.number] = await self._result(want)
        return tuple(results[want.number] for want in wants)

    async def _result(self, want: Want) -> Granted | Refused:
        try:
            forwarding = await self._grant(want)
            record = self._records.name(forwarding.name, self._claimant.region, forwarding.epoch)
            return Granted(forwarding=forwarding, proof=record.proof)
        except Refusal as refusal:
            return Refused(code=refusal.code, text=refusal.text, number=want.number)

    async def _grant(self, want: Want) -> Forwarding:
        if want.kind is Kind.UDP:
            raise refusals.TypeNotServed.of(want.kind.value)
        standing = self._held.get(want.number)
        if standing is not None:
            if standing.forwarding.port not in self._claimant.taken_ports:
                return _repeated(standing, want)
            await self._ledger.end_forwardings(self._claimant.tunnel, (want.number,))
            del self._held[want.number]
        most = self._settings.limits.forwardings_per_tunnel
        if len(self._held) >= most:
            raise LimitReached(f"This connection has {most} forwardings already: more are not allowed.")
        if _is_default(want) and any(not each.named for each in self._held.values()):
            raise refusals.TwoDefaults.of()
        if want.kind is Kind.TCP:
            return await (self._any_port(want) if want.port is None else self._asked_port(want, want.port))
        return await (self._any_name(want) if want.name is None else self._asked_name(want, want.name))

    # -- names ------------------------------------------------------------------------------------------------

    async def _asked_name(self, want: Want, name: str) -> Forwarding:
        if self._account is None:
            raise NeedsAccount.for_name(name)
        label = names.offered_label(_without_domain(name, self._settings), self._regions, self._settings.kept)
        owner = await self._ledger.account_of_name(label)
        if owner is None and not self._settings.free_names:
            raise NameNotYours(f"The name {label} is not reserved by your account: ask the operator for it.")
        if owner not in (None, self._account):
            raise NameNotYours.of(label)
        return await self._take(self._claim(want, label))

    async def _any_name(self, want: Want) -> Forwarding:
        """The account's oldest reserved name that is free; an account without one gets a random one."""
        reserved = await self._ledger.names(self._account) if self._account is not None else ()
        ours = {each.forwarding.name for each in self._held.values()}
        claims = [self._claim(want, each.name) for each in reserved if each.name not in ours]
        return await self._first_of(claims) or await self._random_name(want)

    async def _random_name(self, want: Want) -> Forwarding:
        for _ in range(_ROUNDS):
            granted = await self._try(self._claim(want, self._random_label()))
            if granted is not None:
                return granted
        raise Fault.of()

    def _random_label(self) -> str:
        label = names.random_label()
        taken = names.is_service_label(label, self._regions, self._settings.kept)
        return self._random_label() if taken else label

    # -- ports ------------------------------------------------------------------------------------------------

    async def _asked_port(self, want: Want, port: int) -> Forwarding:
        if self._account is None:
            raise NeedsAccount.for_port(port)
        if not 1 <= port <= 65535 or await self._ledger.account_of_port(port) != self._account:
            raise refusals.PortNotYours.of(port)
        if port in self._claimant.taken_ports:
            raise PortNotBound.of(port)
        return await self._take(self._claim(want, names.port_label(port), port))

    async def _any_port(self, want: Want) -> Forwarding:
        """The account's oldest reserved port that is free and can be bound; without any, a random one."""
        reserved = await self._ledger.ports(self._account) if self._account is not None else ()
        ours = {each.forwarding.port for each in self._held.values()}
        others = [each.port for each in reserved if each.port not in ours]
        bindable = [port for port in others if port not in self._claimant.taken_ports]
        if others and not bindable:
            raise PortNotBound.of(others[0])
        claims = [self._claim(want, names.port_label(port), port) for port in bindable]
        return await self._first_of(claims) or await self._random_port(want)

    async def _random_port(self, want: Want) -> Forwarding:
        ports = self._settings.ports
        for _ in range(_ROUNDS):
            port = await self._ledger.any_port(ports.first, ports.last, self._claimant.taken_ports)
            if port is None:
                break
            granted = await self._try(self._claim(want, self._random_label(), port))
            if granted is not None:
                return granted
        raise refusals.PortsUsedUp.of()

    # -- claims -----------------------------------------------------------------------------------------------

    def _claim(self, want: Want, name: str, port: int | None = None) -> Claim:
        return Claim(
            tunnel=self._claimant.tunnel,
            number=want.number,
            kind=want.kind,
            name=name,
            port=port,
            named=not _is_default(want),
        )

    async def _first_of(self, claims: Sequence[Claim]) -> Forwarding | None:
        """The first that is free; where all are busy, the first of them that may be taken over, or refused as busy."""
        for claim in claims:
            granted = await self._try(claim)
            if granted is not None:
                return granted
        busy: Busy | None = None
        for claim in claims:
            try:
                return await self._take(claim)
            except refusals.Held:
                # Reserved while somebody else's tunnel was on it: theirs until it ends.
                continue
            except Busy as refusal:
                busy = busy or refusal
        if busy is not None:
            raise busy
        return None

    async def _try(self, claim: Claim) -> Forwarding | None:
        epoch = await self._ledger.claim(claim)
        return None if epoch is None else self._got(claim, epoch)

    async def _take(self, claim: Claim) -> Forwarding:
        """*claim*, against whoever holds it, as far as the rules go."""
        own = self._own(claim)
        if own is not None:
            return await self._take_from_default(own, claim)
        for _ in range(_ROUNDS):
            granted = await self._try(claim)
            if granted is not None:
                return granted
            await self._make_way(claim)
        raise Fault.of()

    def _own(self, claim: Claim) -> Held | None:
        for each in self._held.values():
            if each.forwarding.name == claim.name or (claim.port and each.forwarding.port == claim.port):
                return each
        return None

    async def _take_from_default(self, own: Held, claim: Claim) -> Forwarding:
        if own.named:
            raise refusals.AskedTwice.of(_thing(claim))
        number = own.forwarding.number
        epoch = await self._ledger.rename(claim.tunnel, number, claim)
        del self._held[number]
        return self._got(claim, epoch)

    async def _make_way(self, claim: Claim) -> None:
        """Ends the tunnel that holds *claim*'s name or port; returns also where nobody does any more."""
        if claim.port is None:
            holder = await self._ledger.holder_of_name(claim.name)
        else:
            holder = await self._ledger.holder_of_port(claim.port)
        if holder is None:
            return
        if self._account is None or holder.identity.account != self._account:
            raise refusals.Held.of(_thing(claim))
        how = self._how(holder)
        if how is None:
            self.met[holder.tunnel] = holder
            raise Busy.of(holder.identity.label)
        reason = how.reason(self._claimant.address)
        for ended in await self._ledger.end((holder.tunnel,), reason):
            old = Handover(tunnel=ended.tunnel, edge=ended.edge, reason=reason)
            await self._ledger.hand_over(old, self._claimant.tunnel)
            self.ended.append((ended, how))

    def _how(self, holder: Holder) -> How | None:
        """How *holder* may be taken over, if it may."""
        if self._claimant.force is not None:
            return self._claimant.force
        if holder.lease_over and self._claimant.believes_leases:
            return How.LEASE_OVER
        return self._claimant.gone.get(holder.tunnel)

    def _got(self, claim: Claim, epoch: int) -> Forwarding:
        forwarding = Forwarding(number=claim.number, kind=claim.kind, name=claim.name, epoch=epoch, port=claim.port)
        self._held[claim.number] = Held(forwarding=forwarding, named=claim.named)
        return forwarding


def _is_default(want: Want) -> bool:
    return want.name is None and (want.port is None or want.kind is not Kind.TCP)


def _repeated(standing: Held, want: Want) -> Forwarding:
    if standing.forwarding.kind is not want.kind or standing.named is _is_default(want):
        raise refusals.MalformedMessage(f"Forwarding {want.number} of this tunnel is another one already.")
    return standing.forwarding


def _without_domain(name: str, settings: CoreSettings) -> str:
    """``blog`` of ``blog``, ``blog.a.example`` and ``blog.a.example.``; everything else as it came."""
    return name.removesuffix(".").removesuffix(f".{settings.domain}")


def _thing(claim: Claim) -> str:
    return f"The name {claim.name}" if claim.port is None else f"Port {claim.port}"

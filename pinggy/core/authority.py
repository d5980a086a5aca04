"""
The rules of tunnels: who is it, what may they have, and when is it over.

Each method takes one message of an authentic edge, and raises `MalformedMessage` at once where it is out of bounds. A
tunnel belongs to the edge that authorized it first: for any other edge it does not exist.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from pinggy.core.claims import Claimant, Claims
from pinggy.core.config import CoreSettings
from pinggy.core.handovers import Handover
from pinggy.core.identities import FINGERPRINT, identified
from pinggy.core.ledger import EdgeEntry, Ledger, NewOrder, NewTunnel, Transaction, TunnelEntry, closing, news_of
from pinggy.core.metrics import CoreMetrics
from pinggy.core.news import NamesLive
from pinggy.core.patience import Patience
from pinggy.core.places import displaced, displaced_by, placed
from pinggy.core.records import Records
from pinggy.core.room import NoRoom, account_has_room, outcome_of, pace_is_kept
from pinggy.core.takeover import How, Outcome, Probes, settle
from pinggy.settings import Secret
from pinggy.tunnel import endings
from pinggy.tunnel.endings import LeaseLost
from pinggy.tunnel.grant import Identity, Limits
from pinggy.tunnel.refusal_codes import from_wire
from pinggy.tunnel.refusals import Conflict, MalformedMessage, NotAuthentic, Refusal
from pinggy.wire.messages import (
    Authorize,
    Authorized,
    Credential,
    Done,
    Granted,
    Live,
    Lost,
    Refused,
    Register,
    Registered,
    Release,
    Renew,
    Renewed,
    Usage,
    Want,
)
from pinggy.wire.orders import Placed

_TUNNEL = re.compile(r"[0-9a-f]{32}", re.ASCII)
_INSTANCE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_CODE = re.compile(r"[a-z-]{1,40}", re.ASCII)
_MOST_WANTS = 1000
MOST_PLACES = 900  # in one answer, some 150 KB; an edge that starts hears of the others by orders
_MOST_HOST_KEYS = 20
_HIGHEST_NUMBER = 2**31 - 1
_HIGHEST_COUNT = 2**63 - 1


class Authority:
    _log = Logger()

    def __init__(
        self,
        ledger: Ledger,
        settings: CoreSettings,
        records: Records,
        probes: Probes,
        patience: Patience,
        metrics: CoreMetrics | None = None,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._records = records
        self._probes = probes
        self._patience = patience
        self._metrics = metrics or CoreMetrics()

    # -- edges ------------------------------------------------------------------------------------------------

    def edge_of(self, secret: Secret) -> Deferred[EdgeEntry]:
        """The edge whose secret this is. Fails with `NotAuthentic`."""
        digest = digest_of(secret)

        async def work(ledger: Transaction) -> EdgeEntry:
            edge = await ledger.edge_by_digest(digest)
            if edge is None or not hmac.compare_digest(edge.digest, digest):
                raise NotAuthentic.of()
            return edge

        return self._ledger.look(work)

    def register(self, edge: EdgeEntry, message: Register) -> Deferred[Registered]:
        """*edge* has started: the tunnels of its earlier instances are over."""
        _check(_INSTANCE.fullmatch(message.instance), "Register.instance")
        _check(len(message.host_keys) <= _MOST_HOST_KEYS, "Register.host_keys")
        _check(all(map(FINGERPRINT.fullmatch, message.host_keys)), "Register.host_keys")
        _check(message.relay_port is None or 1 <= message.relay_port <= 65535, "Register.relay_port")

        async def work(ledger: Transaction) -> Registered:
            start = await ledger.register_edge(edge.name, message.instance, message.host_keys, message.relay_port)
            ended = await ledger.end(
                start.left, endings.EdgeStopping("The edge was started anew: start the tunnel again.")
            )
            await ledger.tell(*news_of(ended))
            if ended:
                self._log.info("edge {edge} has started anew: {count} tunnels over", edge=edge.name, count=len(ended))
            if start.anew:
                await ledger.drop_handovers(edge.name)
            places = () if message.relay_port is None else await ledger.ports_near(edge.name)
            answer = Registered(
                edge=edge.name,
                region=edge.region,
                domain=self._settings.domain,
                lease=self._settings.lease,
                places=places[:MOST_PLACES],
                report=self._settings.report_interval,
                orders=await ledger.begin_orders(edge.name, start.anew),
            )
            old = await ledger.finish_handovers(start.left) if start.left else ()
            more = [NewOrder(edge=edge.name, order=Placed(place=each)) for each in places[MOST_PLACES:]]
            await ledger.order([*more, *closing(old), *await displaced_by(ledger, ended)])
            return answer

        return self._ledger.transact(work)

    # -- whose tunnel -----------------------------------------------------------------------------------------

    def identify(self, credential: Credential) -> Deferred[Identity]:
        """Fails with `TokenMistyped`, `TokenUnknown` or `KeyUnknown`."""

        async def work(ledger: Transaction) -> Identity:
            return (await identified(ledger, credential)).identity

        return self._ledger.look(work)

    # -- tunnels ----------------------------------------------------------------------------------------------

    def authorize(self, edge: EdgeEntry, message: Authorize) -> Deferred[Authorized]:
        """
        Grant what *message* wants, as far as the rules go. Repeated with the same numbers, it gives the same answer.

        Fails as a whole where the credential is refused, and with the reason where the tunnel is over already,
        with `Conflict` where it is another edge's or identity's, with `EdgeDraining` where it is new and *edge* drains.
        """
        _check(_TUNNEL.fullmatch(message.tunnel), "Authorize.tunnel")
        _check(len(message.wants) <= _MOST_WANTS, "Authorize.wants")
        _check(all(1 <= want.number <= _HIGHEST_NUMBER for want in message.wants), "Authorize.wants.number")
        _check(len({want.number for want in message.wants}) == len(message.wants), "Authorize.wants.number")
        _check(all(1 <= port <= 65535 for port in message.taken_ports), "Authorize.taken_ports")
        message = replace(message, address=message.address.partition("%")[0])
        subnet = subnet_of(message.address)

        def run(gone: Mapping[str, How]) -> Deferred[Outcome]:
            work = self._ledger.transact(lambda ledger: self._authorize(ledger, edge, message, subnet, gone))
            return work.addErrback(outcome_of).addCallback(self._authorized)

        return Deferred.fromCoroutine(settle(run, self._probes))

    def _authorized(self, outcome: Outcome) -> Outcome:
        for how in outcome.ended:
            self._metrics.taken_over(how.value)
        return outcome

    async def _authorize(
        self, ledger: Transaction, edge: EdgeEntry, message: Authorize, subnet: str, gone: Mapping[str, How]
    ) -> Outcome:
        who = await identified(ledger, message.credential)
        identity = who.identity
        # One at a time for this tunnel (its release may overtake it) and for whom the limits count.
        whose = f"subnet {subnet}" if identity.account is None else f"account {identity.account}"
        await ledger.lock(f"tunnel {message.tunnel}", whose)
        tunnel = await ledger.tunnel(message.tunnel)
        if tunnel is not None:
            _check_same(tunnel, edge, identity)
            await ledger.extend_lease(tunnel.id, self._settings.lease)
            expires_in = tunnel.expires_in
        else:
            over = await ledger.end_of(message.tunnel)
            if over is not None:
                raise over
            if edge.draining:
                raise endings.EdgeDraining.of()
            expires_in = None if identity.account is not None else self._settings.anonymous_minutes * 60
            crowd = await ledger.crowd(identity.account, subnet)
            refusal = pace_is_kept(self._settings.limits, crowd, anonymous=identity.account is None)
            if refusal is not None:
                return Outcome(answer=self._answer(identity, expires_in, _refused(message.wants, refusal), ()))
            await ledger.add_tunnel(
                NewTunnel(
                    id=message.tunnel,
                    edge=edge.name,
                    identity=identity,
                    address=message.address,
                    subnet=subnet,
                    lease=self._settings.lease,
                    expires_in=expires_in,
                )
            )
        claims = Claims(
            ledger,
            self._settings,
            self._records,
            Claimant(
                tunnel=message.tunnel,
                region=edge.region,
                identity=identity,
                address=message.address,
                taken_ports=frozenset(message.taken_ports),
                new=tunnel is None,
                force=How.FORCE if message.force else How.NEWEST_WINS if who.newest_wins else None,
                gone=gone,
                believes_leases=self._patience.is_over,
            ),
        )
        results = await claims.serve(message.wants)
        met = tuple(claims.met.values())
        if tunnel is None and identity.account is not None and any(isinstance(result, Granted) for result in results):
            refusal = account_has_room(self._settings.limits, crowd, len(claims.ended))
            if refusal is not None:
                answer = self._answer(identity, expires_in, _refused(message.wants, refusal), ())
                raise NoRoom(Outcome(answer=answer, met=met))
        old: tuple[Handover, ...] = ()
        if tunnel is None and not any(isinstance(result, Granted) for result in results):
            await ledger.forget_tunnel(message.tunnel)
            if claims.ended:
                await ledger.order(closing(await ledger.finish_handovers((message.tunnel,))))
        elif tunnel is not None or claims.ended:
            # Also those of an answer that was not heard.
            old = await ledger.handovers(message.tunnel)
        await ledger.tell(*news_of([ended for ended, _ in claims.ended]))
        return Outcome(
            answer=self._answer(identity, expires_in, results, old),
            ended=tuple(how for _, how in claims.ended),
            met=met,
        )

    def _answer(
        self,
        identity: Identity,
        expires_in: float | None,
        results: tuple[Granted | Refused, ...],
        old: Sequence[Handover],
    ) -> Authorized:
        limits = self._settings.limits
        return Authorized(
            identity=identity,
            limits=Limits(forwardings=limits.forwardings_per_tunnel, channels=limits.channels_per_tunnel),
            results=results,
            expires_in=expires_in,
            lost=tuple(Lost(tunnel=each.tunnel, code=each.reason.code, text=each.reason.text) for each in old),
        )

    def live(self, edge: EdgeEntry, message: Live) -> Deferred[Done]:
        """Fails with the reason where the tunnel is over, with `LeaseLost` where it is not this edge's."""
        _check(_TUNNEL.fullmatch(message.tunnel), "Live.tunnel")
        _check_numbers(message.numbers, "Live.numbers")

        async def work(ledger: Transaction) -> Done:
            tunnel = await ledger.tunnel(message.tunnel)
            if tunnel is None:
                if await ledger.is_handed_over(message.tunnel, edge.name):
                    return Done()
                raise await ledger.end_of(message.tunnel) or LeaseLost.of()
            if tunnel.edge != edge.name:
                raise LeaseLost.of()
            names = await ledger.set_live(tunnel.id, message.numbers)
            if names:
                await ledger.hint(NamesLive(names=names))
            await ledger.extend_lease(tunnel.id, self._settings.lease)
            # Said again, after a commit in doubt: the orders have been written.
            await self._order_at_live(ledger, tunnel, message.numbers if names else ())
            return Done()

        return self._ledger.transact(work)

    async def _order_at_live(self, ledger: Transaction, tunnel: TunnelEntry, numbers: Sequence[int]) -> None:
        """The names of *tunnel* stand: whoever had them before may go, and knows first where they went."""
        old = await ledger.finish_handovers((tunnel.id,))
        orders = await placed(ledger, tunnel.id, numbers)
        # Its own edge knows by the answer to `Authorize`, and closes them when it has heard that this is done.
        await ledger.order([*orders, *closing(each for each in old if each.edge != tunnel.edge)])

    def renew(self, edge: EdgeEntry, message: Renew) -> Deferred[Renewed]:
        """Extend the leases of all tunnels named; the answer is those that are over."""
        for usage in message.tunnels:
            _check_usage(usage)
        _check(len({usage.tunnel for usage in message.tunnels}) == len(message.tunnels), "Renew.tunnels")

        async def work(ledger: Transaction) -> Renewed:
            return Renewed(lost=await ledger.renew(edge.name, message.tunnels, self._settings.lease))

        return self._ledger.transact(work)

    def release(self, edge: EdgeEntry, message: Release) -> Deferred[Done]:
        """
        End the tunnel, or those numbers of it. What is not this edge's is left alone.

        A tunnel that nobody knows may still come: its id is remembered for a while, and its authorization refused.
        """
        _check(_TUNNEL.fullmatch(message.tunnel), "Release.tunnel")
        _check(_CODE.fullmatch(message.code), "Release.code")
        _check_numbers(message.numbers or (), "Release.numbers")
        if message.usage is not None:
            _check_usage(message.usage)
            _check(message.usage.tunnel == message.tunnel, "Release.usage.tunnel")

        async def work(ledger: Transaction) -> Done:
            await ledger.lock(f"tunnel {message.tunnel}")
            tunnel = await ledger.tunnel(message.tunnel)
            if tunnel is not None:
                if tunnel.edge == edge.name:
                    await self._release(ledger, edge, message)
            elif message.numbers is None:
                if await ledger.end_of(message.tunnel) is None:
                    await ledger.release_early(edge.name, message.tunnel)
                else:
                    await ledger.drop_handovers(edge.name, message.tunnel)
            return Done()

        return self._ledger.transact(work)

    async def _release(self, ledger: Transaction, edge: EdgeEntry, message: Release) -> None:
        if message.usage is not None:
            await ledger.note_usage(message.usage)
        orders: list[NewOrder] = []
        if message.numbers is not None:
            held = [each.forwarding for each in await ledger.forwardings(message.tunnel)]
            gone = tuple(each for each in held if each.number in message.numbers)
            await ledger.end_forwardings(message.tunnel, message.numbers)
            orders += await displaced(ledger, edge.name, gone)
        else:
            reason = from_wire(message.code, "This tunnel has been closed by its edge.")
            orders += await displaced_by(ledger, await ledger.end((message.tunnel,), reason))
        # Whoever waits for it to be live waits in vain, or a little less than to the end.
        orders += closing(await ledger.finish_handovers((message.tunnel,)))
        await ledger.order(orders)


def digest_of(secret: Secret) -> bytes:
    """SHA-256, 32 bytes: what is stored and compared instead of a secret of ours (all are random and long)."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).digest()


def subnet_of(address: str) -> str:
    """What limits count: an IPv4 address itself, the /64 of an IPv6 one. Raises `MalformedMessage`."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        raise MalformedMessage("Authorize.address is not an IP address.") from None
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((int(ip), 64), strict=False))
    return str(ip)


def _check_same(tunnel: TunnelEntry, edge: EdgeEntry, identity: Identity) -> None:
    if tunnel.edge != edge.name or tunnel.identity != identity:
        raise Conflict("This tunnel belongs to another edge or another identity.")


def _refused(wants: Sequence[Want], refusal: Refusal) -> tuple[Refused, ...]:
    return tuple(Refused(code=refusal.code, text=refusal.text, number=want.number) for want in wants)


def _check_usage(usage: Usage) -> None:
    _check(_TUNNEL.fullmatch(usage.tunnel), "Usage.tunnel")
    _check(all(0 <= each <= _HIGHEST_COUNT for each in (usage.received, usage.sent, usage.visitors)), "Usage")


def _check_numbers(numbers: Sequence[int], where: str) -> None:
    _check(all(1 <= number <= _HIGHEST_NUMBER for number in numbers), where)


def _check(right: object, where: str) -> None:
    if not right:
        raise MalformedMessage(f"{where} is out of its bounds.")

"""
One client connection's tunnel: it gathers what is asked for into batches, sends them through the chain (`opening`), and
keeps the time: policy, expiry, the bound on doing nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import uuid4

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.client import Client, Watcher
from pinggy.edge.dormant import Dormant, Fate
from pinggy.edge.linger import Linger
from pinggy.edge.opening import Ask, Opening, Parts
from pinggy.edge.timer import Timer
from pinggy.edge.tunnels import Begun, LiveForwarding, LiveTunnel
from pinggy.edge.watchers import Watchers
from pinggy.tunnel.endings import ClientLeft, ClientSilent, EdgeDraining, EdgeStopping, Expired
from pinggy.tunnel.grant import ANONYMOUS, Forwarding, Identity
from pinggy.tunnel.life import Life
from pinggy.tunnel.policy import Policy
from pinggy.tunnel.refusals import Fault, LimitReached, NoForwarding, Refusal, TypeNotServed
from pinggy.tunnel.request import ForwardRequest, Kind, Login, clash
from pinggy.wire.messages import Authorized, Credential, Usage

log = Logger()

SILENCE = 0.02  # seconds without another request: Go clients wait for each reply before they ask again
NOTHING_ASKED = 30.0  # seconds after the login in which a forwarding must be asked for
NOTHING_LEFT = 2.0  # seconds for another request when nothing is left, or a terminal is there and nothing was asked
MOST_ASKED = 256  # forwardings asked for in one connection; the core's limit is lower


class ClientTunnel:
    """
    From the login to the end.

    *id*, *login*, *identity*, *expires_in* (seconds the grant was given for, None for no end) may be read.
    """

    def __init__(
        self,
        parts: Parts,
        client: Client,
        login: Login,
        credential: Credential,
        identity: Identity = ANONYMOUS,
        by_ticket: bool = False,
    ) -> None:
        self.id = uuid4().hex
        self.login = login
        self.identity = identity
        self.expires_in: float | None = None
        self._parts = parts
        self._client = client
        self._opening = Opening(
            parts=parts,
            owner=self,
            client=client,
            tunnel=self.id,
            credential=credential,
            force=login.force,
            by_ticket=by_ticket,
        )
        self._life = Life()
        self._live: LiveTunnel | None = None
        self._asks: dict[int, Ask] = {}
        self._asked = 0
        self._queue: list[Ask] = []
        self._running = False
        self._core_was_asked = False
        self._watchers = Watchers()
        self._end: Refusal | None = None
        self._closed = False
        self._has_left = False
        self._awaiting_close: list[Deferred[None]] = []
        self._silence = Timer(parts.clock, self._flush)
        self._deadline = Timer(parts.clock, self._deadline_reached)
        self._idle = Timer(parts.clock, self._nothing_to_do)
        self._expiry = Timer(parts.clock, lambda: self.end(Expired.of()))
        self._grace = Timer(parts.clock, self._leave)
        self._linger = Linger(parts.clock)
        self._idle.start(NOTHING_ASKED)

    # -- what the way in says -----------------------------------------------------------------------------------

    def ask(self, request: ForwardRequest) -> Deferred[Forwarding]:
        """Fires when visitors can come; fails with the `Refusal`."""
        refusal = self._end or self._parts.closed() or self._refusal_at_once(request)
        if refusal is not None:
            self._parts.metrics.refused(refusal.code)
            self.tell_refused(refusal)
            return fail(refusal)
        self._asked += 1
        ask = Ask(self._asked, request)
        self._asks[ask.number] = ask
        self._queue.append(ask)
        self._idle.stop()
        self._life.forwarded(self._parts.clock.seconds())
        self._life_changed()
        self._silence.start(SILENCE)
        return ask.answer

    def withdraw(self, number: int) -> Deferred[bool]:
        """Take back the live forwarding *number*; fires with whether there was one."""
        ask = self._asks.get(number)
        if ask is None or ask.live is None:
            return succeed(False)
        return Deferred.fromCoroutine(self._withdraw(ask))

    def tell_refused(self, refusal: Refusal) -> None:
        """A request could not even be read: the terminal shows why."""
        self._watchers.refused(refusal)
        self._settle()

    def session_opened(self) -> None:
        """A terminal is there: the core is asked at once for what has been asked for so far."""
        self._life.session_opened(self._parts.clock.seconds())
        self._life_changed()
        self._flush()

    def command_read(self, policy: Policy) -> None:
        """The arguments are known: visitors may come."""
        self._life.command_read(policy)
        self._life_changed()
        if not self._asks and self._end is None:
            self._idle.start(NOTHING_LEFT)

    def watch(self, watcher: Watcher) -> None:
        """Tell *watcher* what is live already, and whatever comes."""
        self._watchers.add(watcher, self.forwardings())
        if self._is_settled and (self._asks or self._watchers.refusals):
            watcher.settled()

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers.remove(watcher)

    def forwardings(self) -> list[Forwarding]:
        """What is live, in the order asked."""
        return [ask.live.forwarding for ask in self._asks.values() if ask.live is not None]

    def urls(self, *forwardings: Forwarding) -> list[str]:
        return [url for each in forwardings for url in self._parts.face.urls(each)]

    def end(self, reason: Refusal, grace: float = 0.0) -> Deferred[None]:
        """
        End the tunnel; fires when names, ports and records have been given back. The first reason counts.

        Its client is told at once. Visitors who are being served have *grace* seconds until it is left; to end it once
        more without any cuts that short; where the edge stops, also the time for which its records linger.
        """
        if self._end is None:
            self._end = reason
            self._life.ended(reason)
            for timer in (self._silence, self._idle, self._expiry):
                timer.stop()
            self._life_changed()
            queue, self._queue = self._queue, []
            self.refuse(queue, reason)
            self._opening.close_to_visitors(self._asks.values())
            self._part(reason, grace)
            if not self._running:
                self._wind_up()
        elif grace <= 0:
            self._leave()
            if isinstance(reason, EdgeStopping):
                self._linger.stop()
        if self._closed:
            return succeed(None)
        closed: Deferred[None] = Deferred(self._awaiting_close.remove)
        self._awaiting_close.append(closed)
        return closed

    # -- before anybody is asked ----------------------------------------------------------------------------------

    def _refusal_at_once(self, request: ForwardRequest) -> Refusal | None:
        if request.kind is Kind.UDP:
            return TypeNotServed.of("udp")
        if self._asked >= MOST_ASKED:
            return LimitReached(f"Too many forwardings in one connection: {MOST_ASKED} at the most.")
        return clash(request, [ask.request for ask in self._asks.values()])

    # -- batches --------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._silence.stop()
        if self._running or not self._queue or self._end is not None:
            return
        batch, self._queue = self._queue, []
        self._running = self._core_was_asked = True
        self._begin()
        Deferred.fromCoroutine(self._run(batch)).addErrback(self._broke, batch).addBoth(self._chain_over)

    def _begin(self) -> None:
        self._parts.tunnels.begin(Begun(id=self.id, client=self._client, end=self.end))

    async def _run(self, batch: list[Ask]) -> None:
        for ask in await self._opening.open(batch):
            self._serve(ask)

    def _broke(self, failure: Failure, batch: list[Ask]) -> Deferred[None]:
        log.failure("opening tunnel {tunnel} broke", failure, tunnel=self.id)
        self.refuse([ask for ask in batch if ask.live is None], Fault.of())
        return Deferred.fromCoroutine(self._opening.undo([ask for ask in batch if ask.live is None], Fault.code))

    def _chain_over(self, _: object) -> None:
        self._running = False
        if self._end is not None:
            self._wind_up()
            return
        self._settle()
        self._flush()

    def _serve(self, ask: Ask) -> None:
        assert ask.forwarding is not None
        assert self._live is not None
        ask.live = LiveForwarding(forwarding=ask.forwarding, tunnel=self._live)
        self._parts.tunnels.add(ask.live)
        if ask.bound is not None:
            ask.bound.serve(ask.live)
        log.info(
            "tunnel {tunnel} of {owner} from {address} is live: {urls} ({took})",
            tunnel=self.id,
            owner=self.identity.account or "nobody",
            address=self._client.peer.host,
            urls=" ".join(self.urls(ask.forwarding)),
            took=ask.took,
        )
        ask.answer.callback(ask.forwarding)
        self._watchers.opened(ask.forwarding)

    async def _withdraw(self, ask: Ask) -> bool:
        del self._asks[ask.number]
        await self._opening.undo([ask], ClientLeft.code)
        self._settle()
        return True

    # -- what the chain says (`opening.Owner`) ----------------------------------------------------------------------

    def check_wanted(self) -> None:
        refusal = self._end or self._parts.closed()
        if refusal is not None:
            raise refusal

    @property
    def ticket(self) -> str:
        held = None if self._live is None else self._live.ticket
        return "" if held is None else held.text

    def resume(self, dormant: Dormant, numbers: Mapping[int, int]) -> None:
        self._parts.tunnels.over(self.id)
        self.id = dormant.tunnel
        self._begin()
        # The core knows the others of no number yet: they get higher ones than any that it has given out.
        self._asked = max([self._asked, *(each.number for each in dormant.held.ticket.forwardings)])
        for ask in self._asks.values():
            if ask.number in numbers:
                ask.number = numbers[ask.number]
            elif ask.forwarding is None:
                self._asked += 1
                ask.number = self._asked
        self._asks = {ask.number: ask for ask in self._asks.values()}
        ticket = dormant.held.ticket
        self.accept_terms(
            Authorized(identity=ticket.identity, limits=dormant.limits, results=(), ticket=dormant.held.text)
        )
        assert self._live is not None
        self._live.before = self._live.before or dormant.usage

    def part_from(self) -> str:
        self._parts.dormants.parted(self._live)
        self._parts.tunnels.over(self.id)
        self._live = None
        self.id = uuid4().hex
        self._begin()
        return self.id

    def accept_terms(self, authorized: Authorized) -> None:
        if self._live is None:
            self._live = self._begin_life(authorized)
        self._live.ticket = self._parts.dormants.check.read(authorized.ticket) or self._live.ticket
        self._parts.dormants.holds(self._live)

    def _begin_life(self, authorized: Authorized) -> LiveTunnel:
        self.identity = authorized.identity
        self.expires_in = authorized.expires_in
        if authorized.expires_in is not None and self._end is None:
            self._expiry.start(authorized.expires_in)
        return LiveTunnel(
            id=self.id,
            client=self._client,
            life=self._life,
            identity=authorized.identity,
            limits=authorized.limits,
            end=self.end,
        )

    def refuse(self, asks: Iterable[Ask], refusal: Refusal) -> None:
        for ask in list(asks):
            self._asks.pop(ask.number, None)
            if not ask.answer.called:
                self._parts.metrics.refused(refusal.code)
                ask.answer.errback(refusal)
                self._watchers.refused(refusal)

    def usage(self) -> Usage | None:
        return None if self._live is None else self._live.usage()

    # -- the end ----------------------------------------------------------------------------------------------------

    def _part(self, reason: Refusal, grace: float) -> None:
        if self._live is None or isinstance(reason, ClientSilent):
            # Nobody to finish for: the streams of a dead client are dead.
            self._leave()
            return
        if grace > 0:
            self._client.announce(reason)
            self._grace.start(grace)
        # Closed also where nobody may finish: ssh waits for its channels, and would miss the exit status.
        finished = self._live.let_finish()
        if grace > 0:
            finished.addCallback(lambda _: self._leave())
        else:
            self._leave()

    def _leave(self) -> None:
        assert self._end is not None
        self._grace.stop()
        if not self._has_left:
            self._has_left = True
            self._client.leave(self._end)

    def _wind_up(self) -> None:
        assert self._end is not None
        asks, self._asks = list(self._asks.values()), {}
        if not self._core_was_asked:
            self._close(None)
            return
        self._parts.metrics.ended(self._end.code)
        log.info("tunnel {tunnel} has ended: {why}", tunnel=self.id, why=self._end.code)
        d = Deferred.fromCoroutine(self._give_back(asks, self._end))
        d.addErrback(lambda failure: log.failure("ending tunnel {tunnel} broke", failure, tunnel=self.id))
        d.addBoth(self._close)

    async def _give_back(self, asks: list[Ask], reason: Refusal) -> None:
        live, fate = self._live, Fate.NEITHER
        self._parts.dormants.parted(live)
        may_come_back = isinstance(reason, (ClientLeft, ClientSilent)) and self._parts.closed() is None
        if asks and may_come_back and live is not None and live.ticket is not None:
            dormant = self._opening.sleeping(asks, live.ticket, live.limits, live.usage())
            fate = await self._parts.dormants.part(dormant, reason.code)
        if fate is not Fate.KEPT:
            released = fate is Fate.RELEASED
            # A newer owner's records are not touched by what is withdrawn late: its epoch is lower.
            linger = self._linger.start() if isinstance(reason, EdgeDraining) else None
            await self._opening.undo(asks, reason.code, whole=True, released=released, linger=linger)

    def _close(self, _: object) -> None:
        self._closed = True
        self._parts.tunnels.over(self.id)
        waiting, self._awaiting_close = self._awaiting_close, []
        for each in waiting:
            each.callback(None)

    # -- small parts --------------------------------------------------------------------------------------------------

    @property
    def _is_settled(self) -> bool:
        return not self._queue and not self._running

    def _settle(self) -> None:
        if not self._is_settled or self._end is not None:
            return
        if not self._asks:
            # Whoever goes on asking for what is refused is not waited for any longer.
            self._idle.start_sooner(NOTHING_LEFT)
        self._watchers.settled()

    def _nothing_to_do(self) -> None:
        refusals = self._watchers.refusals
        self.end(refusals[-1] if refusals else NoForwarding.of())

    def _deadline_reached(self) -> None:
        self._life.tick(self._parts.clock.seconds())
        if self._life.end is not None:
            self.end(self._life.end)
        else:
            self._life_changed()

    def _life_changed(self) -> None:
        """Let those go who wait for the policy, and keep the next deadline."""
        self._deadline.stop()
        if self._life.deadline is not None:
            self._deadline.start(max(0.0, self._life.deadline - self._parts.clock.seconds()))
        if self._live is not None:
            self._live.life_changed()

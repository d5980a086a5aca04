"""
The live tunnels of this edge, by name and by port: where a visitor's host name becomes a client.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from pinggy.edge.carried import Carried
from pinggy.edge.client import Client, Peer
from pinggy.edge.counted import Kept
from pinggy.edge.local.h2.pool import H2Pool
from pinggy.edge.local.pool import Pool
from pinggy.edge.stream import Cause, Stream, StreamRefused
from pinggy.edge.tally import Tally
from pinggy.edge.throttle import Throttle
from pinggy.edge.tickets import HeldTicket
from pinggy.tunnel.grant import Forwarding, Identity, Limits
from pinggy.tunnel.life import Life, State
from pinggy.tunnel.policy import Policy
from pinggy.tunnel.refusals import Refusal
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Usage

MOST_REMEMBERED = 10_000  # names that were here


class End(Protocol):
    """
    Ends a tunnel for a reason, and fires when its names have been given back. Visitors who are being served have
    *grace* seconds to finish.
    """

    def __call__(self, reason: Refusal, grace: float = 0.0) -> Deferred[None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A tunnel from when the core is asked for it until its names have been given back."""

    id: str
    client: Client
    end: End


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """
    A connection of a visitor who was let in: he comes from *host*, an address in text. *cut* breaks it at once; *ended*
    tells it that the tunnel has, whose last requests are served to the end.
    """

    host: str
    cut: Callable[[], object]
    ended: Callable[[], object]


@dataclass(slots=True, kw_only=True, eq=False)
class LiveTunnel:
    """
    A tunnel whose core has granted it something. Visitors call `policy`, then `visited`, then `open_stream`; each
    connection of one whose address was let in is *present* (`enter`) until it is lost or turns to another tunnel
    (`leave`).

    Whoever opens a stream counts bytes into *tally* as they pass: ``received`` to the client, ``sent`` from it; and
    who keeps it between requests stands in *kept* for as long. *end* ends it. *ticket* is the core's word for it;
    *before* is what it had carried when it was resumed. *throttle* knows who has asked too often.
    """

    id: str
    client: Client
    life: Life
    identity: Identity
    limits: Limits
    end: End
    tally: Tally = field(default_factory=Tally)
    kept: set[Kept] = field(default_factory=set)
    present: set[Presence] = field(default_factory=set)
    throttle: Throttle = field(default_factory=Throttle)
    ticket: HeldTicket | None = None
    before: Usage | None = None
    _unused: Deferred[None] | None = None
    _waiting: list[Deferred[Policy]] = field(default_factory=list)

    @property
    def has_ended(self) -> bool:
        return self.life.state is State.ENDED

    @property
    def policy_in_force(self) -> Policy | None:
        """None where `policy` has to be awaited."""
        return self.life.policy if self.life.state is State.IN_FORCE else None

    def policy(self) -> Deferred[Policy]:
        """Fires with the policy when it is in force; fails with the `Refusal` that ended the tunnel instead."""
        if self.life.state is State.IN_FORCE:
            return succeed(self.life.policy)
        if self.life.state is State.ENDED:
            assert self.life.end is not None
            return fail(self.life.end)
        waiting: Deferred[Policy] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def life_changed(self) -> None:
        """Let those go who wait for the policy, if it is in force by now or never will be."""
        if self.life.state not in (State.IN_FORCE, State.ENDED):
            return
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            self.policy().chainDeferred(each)

    def visited(self) -> None:
        """Another visitor has been let in."""
        self.tally.visitors += 1

    def change_policy(self, policy: Policy) -> None:
        """
        Replace the policy that is in force, and only that. The next request meets the new one; connections from
        addresses that it does not let in are cut now, and streams that are kept begin anew where theirs would begin
        otherwise.
        """
        before = self.life.policy
        self.life.replaced(policy)
        if self.life.policy is not policy:
            return
        if policy.whitelist and policy.whitelist != before.whitelist:
            for each in list(self.present):
                if each in self.present and not policy.admits(ipaddress.ip_address(each.host)):
                    each.cut()
        if policy.leg != before.leg:
            for kept in list(self.kept):
                kept.close_if_idle()

    def enter(self, host: str, cut: Callable[[], object], ended: Callable[[], object] = lambda: None) -> Presence:
        """A visitor from *host* was let in; for the others see `Presence`."""
        presence = Presence(host, cut, ended)
        self.present.add(presence)
        return presence

    def leave(self, presence: Presence) -> None:
        self.present.discard(presence)

    def open_stream(self, forwarding: Forwarding, visitor: Peer) -> Deferred[Stream]:
        """A stream for one *visitor*. Fails with `StreamRefused`. Call `stream_over` once when it has ended."""
        if self.life.state is State.ENDED:
            return fail(StreamRefused("The tunnel has ended.", Cause.GONE))
        if not self.has_room():
            return fail(StreamRefused("The tunnel has as many visitors as it may have.", Cause.FULL))
        self.tally.open += 1

        def not_opened(failure: Failure) -> Failure:
            self.stream_over()
            return failure

        return self.client.open_stream(forwarding, visitor).addErrback(not_opened)

    def has_room(self) -> bool:
        """Whether another stream may be opened. One that is only kept, of whichever forwarding, is closed for it."""
        for each in list(self.kept) if self.tally.open >= self.limits.channels else ():
            each.close_if_idle()
            if self.tally.open < self.limits.channels:
                break
        return self.tally.open < self.limits.channels

    def stream_over(self) -> None:
        self.tally.open -= 1
        if not self.tally.open and self._unused is not None:
            unused, self._unused = self._unused, None
            unused.callback(None)

    def let_finish(self) -> Deferred[None]:
        """
        Once it has ended: tell those who are here, and close the streams that are only kept; fires when no other is
        open any more.
        """
        for presence in list(self.present):
            presence.ended()
        for each in list(self.kept):
            each.close_if_idle()
        if not self.tally.open:
            return succeed(None)
        self._unused = Deferred()
        return self._unused

    def usage(self) -> Usage:
        """What it has carried, as the core is told."""
        tally, before = self.tally, self.before or Usage(tunnel=self.id)
        return Usage(
            tunnel=self.id,
            received=before.received + tally.received,
            sent=before.sent + tally.sent,
            visitors=before.visitors + tally.visitors,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveForwarding:
    """
    One public name (or port) that visitors may open. *pool* has the streams that wait for their next requests, *h2* the
    connections that many share at once (x:h2).
    """

    forwarding: Forwarding
    tunnel: LiveTunnel
    pool: Pool = field(default_factory=Pool, compare=False)
    h2: H2Pool = field(default_factory=H2Pool, compare=False)


class Tunnels:
    """
    Every live forwarding of this edge. A name has one owner: a later one with a higher epoch replaces it, and one of
    the same tunnel and epoch (a named forwarding) wins over the default that had it.

    Tunnels that have begun are here too, before anything of theirs is live. *carried* is what all tunnels that there
    were have carried.
    """

    def __init__(self) -> None:
        self.carried = Carried()
        self._begun: dict[str, Begun] = {}
        self._tunnels: dict[str, LiveTunnel] = {}
        self._names: dict[str, LiveForwarding] = {}
        self._held: Counter[str] = Counter()
        self._left: dict[str, int] = {}
        self._awaited: dict[str, list[tuple[int, Deferred[LiveForwarding]]]] = {}

    def __iter__(self) -> Iterator[LiveTunnel]:
        return iter(list(self._tunnels.values()))

    def __len__(self) -> int:
        return len(self._tunnels)

    def begin(self, begun: Begun) -> None:
        """The core is about to be asked for it; until `over`."""
        self._begun[begun.id] = begun

    def over(self, tunnel: str) -> None:
        """Nothing of *tunnel* is left, if it ever began."""
        self._begun.pop(tunnel, None)

    def all_begun(self) -> list[Begun]:
        return list(self._begun.values())

    def begun(self, tunnel: str) -> Begun | None:
        return self._begun.get(tunnel)

    @property
    def begun_count(self) -> int:
        """Of all that have begun and are not over."""
        return len(self._begun)

    def get(self, tunnel: str) -> LiveTunnel | None:
        return self._tunnels.get(tunnel)

    def by_name(self, name: str) -> LiveForwarding | None:
        """The forwarding of the label *name*."""
        return self._names.get(name)

    def kinds(self) -> Counter[Kind]:
        """How many live forwardings there are of each kind."""
        return Counter(each.forwarding.kind for each in self._names.values())

    def names(self, after: str = "") -> Iterator[LiveForwarding]:
        """What visitors are served by, in the order of the names that come after *after*."""
        for name in sorted(name for name in self._names if name > after):
            yield self._names[name]

    def add(self, live: LiveForwarding) -> None:
        """Let visitors in; *live* stays in the books until `remove`, even where a newer owner has its name."""
        self._tunnels[live.tunnel.id] = live.tunnel
        self._held[live.tunnel.id] += 1
        self.carried.watch(live.tunnel)
        standing = self._names.get(live.forwarding.name)
        if standing is None or standing.forwarding.epoch <= live.forwarding.epoch:
            self._names[live.forwarding.name] = live
            self._arrived(live)

    def remove(self, live: LiveForwarding) -> None:
        """Take *live* away; its name only where it has no newer owner."""
        if self._names.get(live.forwarding.name) is live:
            del self._names[live.forwarding.name]
            self._note_left(live.forwarding)
        self._held[live.tunnel.id] -= 1
        if not self._held[live.tunnel.id]:
            del self._held[live.tunnel.id]
            del self._tunnels[live.tunnel.id]

    # -- names that come and go between edges ------------------------------------------------------------------------

    def has_left(self, name: str, epoch: int = 0) -> bool:
        """Whether *name* was here of late, by *epoch* or a newer one, and is not any more."""
        left = self._left.get(name)
        return left is not None and left >= epoch and name not in self._names

    def awaited(self, name: str, epoch: int) -> Deferred[LiveForwarding]:
        """
        Fires when visitors may come to *name*, by *epoch* or a newer one. The caller sets the bound and cancels.
        """
        standing = self._names.get(name)
        if standing is not None and standing.forwarding.epoch >= epoch:
            return succeed(standing)
        awaited: Deferred[LiveForwarding] = Deferred(lambda _: self._await_no_more(name, awaited))
        self._awaited.setdefault(name, []).append((epoch, awaited))
        return awaited

    def _await_no_more(self, name: str, awaited: Deferred[LiveForwarding]) -> None:
        self._awaited[name] = [each for each in self._awaited[name] if each[1] is not awaited]
        if not self._awaited[name]:
            del self._awaited[name]

    def _arrived(self, live: LiveForwarding) -> None:
        name, epoch = live.forwarding.name, live.forwarding.epoch
        self._left.pop(name, None)
        due = [each for wanted, each in self._awaited.get(name, ()) if wanted <= epoch]
        for awaited in due:
            self._await_no_more(name, awaited)
        for awaited in due:
            awaited.callback(live)

    def _note_left(self, forwarding: Forwarding) -> None:
        self._left.pop(forwarding.name, None)
        self._left[forwarding.name] = forwarding.epoch
        if len(self._left) > MOST_REMEMBERED:
            del self._left[next(iter(self._left))]

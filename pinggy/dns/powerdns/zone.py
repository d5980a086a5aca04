"""
The zone over all its servers: written to each that is up, and true before anybody is told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.python.failure import Failure

from pinggy.dns.fence import Fence
from pinggy.dns.powerdns.changes import NEWER_OWNER, Change
from pinggy.dns.powerdns.health import ServerState
from pinggy.dns.powerdns.lane import Lane, Timed
from pinggy.dns.powerdns.listing import Standing
from pinggy.dns.powerdns.records import alias_of, entry_of, hosts_of, withdrawal_of
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.powerdns.writer import ServerAway
from pinggy.dns.question import NoAnswer
from pinggy.dns.zone import EntryRecord, HostRecord, NameRecord, NewerOwner, ZoneError
from pinggy.tunnel.refusals import echo

_MOST_REMEMBERED = 16_384


class PowerDnsZone:
    """
    The zone *domain* as a `Zone` and its `Probe`, over *servers* (one at the least). *ttl* is in seconds, and so is
    *timeout*, for one exchange. *timed* is told how long each server takes.

    A server that fails is marked down with one line, left out, and asked again now and then; when it is back,
    `on_return` is called with it, for it has missed changes. Servers behind a gate fence for themselves; where one is
    not, this object does, for what is written through it alone.

    Raises `SettingsError` where a server's authorities are of no use. `close` it at the end.
    """

    def __init__(
        self,
        reactor: Any,
        domain: str,
        servers: Sequence[PowerDnsServer],
        *,
        ttl: int = 10,
        timeout: float = 5.0,
        on_return: Callable[[PowerDnsServer], None] = lambda server: None,
        timed: Timed | None = None,
    ) -> None:
        self.domain = domain
        self.servers = tuple(servers)
        self.on_return = on_return
        self._ttl = ttl
        self._lanes = {each: Lane(reactor, each, domain, timeout, self._returned, timed) for each in self.servers}
        self._fence = None if all(each.gate for each in self.servers) else Fence()
        # Where not every server has taken a record: those that have.
        self._in_part: OrderedDict[tuple[str, int], tuple[Lane, ...]] = OrderedDict()

    def up(self) -> Mapping[str, bool]:
        """Whether each server takes changes, as far as is known; by its place."""
        return {server.place: lane.up for server, lane in self._lanes.items()}

    def state(self, server: PowerDnsServer) -> ServerState:
        return self._lanes[server].health.state

    def publish(self, records: Sequence[NameRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]:
        """
        Fires when every server that is up (or *only* that one) has taken *records*, and one has at the least. A record
        that is refused does not keep the others from being written.
        """
        return Deferred.fromCoroutine(self._publish(records, alias_of, only))

    def publish_hosts(self, hosts: Sequence[HostRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]:
        """Write the addresses of each of *hosts*, and nothing else under its name; without addresses, take it away."""
        return Deferred.fromCoroutine(self._publish(hosts, hosts_of, only))

    def publish_entries(self, entries: Sequence[EntryRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]:
        """Let each of *entries* lead to the nearest of its addresses; without addresses, take it away."""
        return Deferred.fromCoroutine(self._publish(entries, entry_of, only))

    def withdraw(self, records: Sequence[NameRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]:
        return Deferred.fromCoroutine(self._withdraw(records, only))

    def confirm(self, record: NameRecord) -> Deferred[None]:
        """
        Fires when each server that took *record* answers with it. One that does not answer at all is marked down; fails
        with `ZoneError` where one answers otherwise, or none answers.
        """
        return Deferred.fromCoroutine(self._confirm(record))

    def confirm_at(self, server: PowerDnsServer, record: NameRecord) -> Deferred[None]:
        """Fires when *server* answers with *record*; fails with `ZoneError`, `NoAnswer` where it is silent."""
        return self._lanes[server].confirm(record)

    def contents(self, server: PowerDnsServer) -> Deferred[Mapping[str, Standing]]:
        """
        What stands at *server*, by name (absolute in lower case without the final dot), whether it is up or down. Fails
        with `ZoneError`.
        """
        return Deferred.fromCoroutine(self._contents(server))

    def look(self) -> Deferred[None]:
        """Ask every server that is taken to be up whether it is. Who writes seldom learns of a return only so."""
        return gatherResults([each.look() for each in self._lanes.values()]).addCallback(lambda _: None)

    def close(self) -> Deferred[None]:
        """Fires when what is under way is over, and the connections are closed."""
        return gatherResults([each.close() for each in self._lanes.values()]).addCallback(lambda _: None)

    def _returned(self, server: PowerDnsServer) -> None:
        self._lanes[server].pay()
        self.on_return(server)

    async def _contents(self, server: PowerDnsServer) -> Mapping[str, Standing]:
        try:
            return await self._lanes[server].api.listing()
        except ServerAway as error:
            raise ZoneError(f"The DNS server {server} cannot be listed: {error}.") from error

    # -- write -------------------------------------------------------------------------------------------------------

    async def _publish(
        self, records: Iterable[Any], to_change: Callable[[Any, str, int], Change], only: PowerDnsServer | None
    ) -> None:
        changes = self._changes(records, to_change)
        late: list[str] = []
        admitted: list[Change] = []
        for change in changes:
            if self._admits(change):
                admitted.append(change)
            else:
                late.append(change.name)
        if admitted:
            await self._write(admitted, only)
        if late:
            raise _newer_owner(late)

    async def _withdraw(self, records: Sequence[NameRecord], only: PowerDnsServer | None) -> None:
        changes = [each for each in self._changes(records, withdrawal_of) if self._releases(each)]
        if changes:
            await self._write(changes, only)

    def _changes(self, records: Iterable[Any], to_change: Callable[[Any, str, int], Change]) -> list[Change]:
        try:
            return [to_change(each, self.domain, self._ttl) for each in records]
        except ValueError as error:
            raise ZoneError(f"The zone {self.domain} cannot hold this name: {error}") from None

    def _admits(self, change: Change) -> bool:
        return self._fence is None or self._fence.admit(change.name, change.epoch)

    def _releases(self, change: Change) -> bool:
        """What stands by somebody else's writing is taken away unseen: PowerDNS itself has no conditions."""
        if self._fence is None:
            return True
        unknown = self._fence.standing(change.name) is None
        return self._fence.release(change.name, change.epoch, any_lower=change.any_lower) or unknown

    async def _write(self, changes: Sequence[Change], only: PowerDnsServer | None) -> None:
        lanes = await self._lanes_up(only)
        outcomes = await DeferredList([each.put(changes) for each in lanes], consumeErrors=True)
        took: list[Lane] = []
        refused: dict[str, str] = {}
        stale: list[str] = []
        for lane, (succeeded, outcome) in zip(lanes, outcomes, strict=True):
            if not succeeded:
                cast(Failure, outcome).trap(ServerAway)
                continue
            took.append(lane)
            for change, each in zip(changes, cast(Any, outcome), strict=True):
                if each is None:
                    continue
                if not each.stale:
                    refused[change.name] = f"{lane.server} does not take {echo(change.name)}: {each.why}."
                elif not change.withdrawn:
                    stale.append(change.name)
        if not took:
            raise self._none_up(only)
        if only is None:
            self._remember(changes, took)
            for lane in self._lanes.values():
                if lane not in took:
                    lane.owe(changes)
        if refused:
            raise ZoneError(" ".join(refused.values()))
        if stale:
            raise _newer_owner(stale)

    async def _lanes_up(self, only: PowerDnsServer | None) -> list[Lane]:
        """Where none is up, each is asked whether it is so still."""
        lanes = [lane for server, lane in self._lanes.items() if only in (None, server)]
        if not any(lane.up for lane in lanes):
            await DeferredList([lane.health.ask_now() for lane in lanes])
        up = [lane for lane in lanes if lane.up]
        if not up:
            raise self._none_up(only)
        return up

    def _none_up(self, only: PowerDnsServer | None) -> ZoneError:
        lanes = [lane for server, lane in self._lanes.items() if only in (None, server)]
        return ZoneError("No DNS server is up: " + "; ".join(f"{each.server}: {each.why}" for each in lanes) + ".")

    def _remember(self, changes: Sequence[Change], took: Sequence[Lane]) -> None:
        for change in changes:
            key = (change.name, change.epoch)
            self._in_part.pop(key, None)
            if not change.withdrawn and len(took) < len(self._lanes):
                self._in_part[key] = tuple(took)
        while len(self._in_part) > _MOST_REMEMBERED:
            self._in_part.popitem(last=False)

    # -- confirm -----------------------------------------------------------------------------------------------------

    async def _confirm(self, record: NameRecord) -> None:
        took = self._in_part.get((record.name.lower(), record.epoch), tuple(self._lanes.values()))
        asked = [lane for lane in took if lane.up]
        if not asked:
            raise self._none_up(None)
        outcomes = await DeferredList([each.confirm(record) for each in asked], consumeErrors=True)
        wrong: list[str] = []
        confirmed = False
        for lane, (succeeded, outcome) in zip(asked, outcomes, strict=True):
            if succeeded:
                confirmed = True
                continue
            failure = cast(Failure, outcome)
            if failure.check(NoAnswer):
                lane.health.down(failure.getErrorMessage())
            else:
                failure.trap(ZoneError)
                wrong.append(failure.getErrorMessage())
        if wrong:
            raise ZoneError(" ".join(wrong))
        if not confirmed:
            raise self._none_up(None)


def _newer_owner(names: Sequence[str]) -> NewerOwner:
    return NewerOwner(f"The record comes too late, {NEWER_OWNER}: {', '.join(echo(each) for each in names)}.")

"""
A zone in memory over several servers, for tests of who keeps it: what is written is noted, and servers can be away.

tests/contracts/test_zone.py runs one suite against this and the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed

from pinggy.dns.fence import Fence
from pinggy.dns.powerdns.changes import Change
from pinggy.dns.powerdns.listing import Standing
from pinggy.dns.powerdns.lua import entry_contents
from pinggy.dns.powerdns.records import alias_of, entry_of, hosts_of, withdrawal_of
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.question import NoAnswer
from pinggy.dns.zone import EntryRecord, HostRecord, NameRecord, NewerOwner, ZoneError
from pinggy.settings import Secret

R = TypeVar("R")


class MemoryServer:
    """
    *contents* is what stands there, by absolute name: to be falsified by tests. What is in *answers* is answered
    instead until the name is written. While it is *away* it is not written, and does not answer. Each server is fenced
    as by a gate.
    """

    def __init__(self, number: int) -> None:
        self.contents: dict[str, Standing] = {}
        self.answers: dict[str, Standing] = {}
        self.away = False
        self.fence = Fence()
        self.server = PowerDnsServer(
            url=f"http://127.0.0.1:{8000 + number}", dns=f"127.0.0.{number}:53", key=Secret("key")
        )

    def write(self, change: Change) -> bool:
        """Whether it was taken; False where it comes too late."""
        self.answers.pop(change.name, None)
        if change.withdrawn:
            known = self.fence.standing(change.name) is not None
            if self.fence.release(change.name, change.epoch, any_lower=change.any_lower) or not known:
                self.contents.pop(change.name, None)
            return True
        if not self.fence.admit(change.name, change.epoch):
            return False
        if change.port:
            self.contents[change.name] = Standing(lua=entry_contents(change.addresses, change.port))
        else:
            self.contents[change.name] = Standing(target=change.target, addresses=change.addresses)
        return True


class MemoryZone:
    """
    Each Deferred has fired when it is returned. *calls* are the writes, each as its name and the labels written;
    *asked* the questions, each as server and name.
    """

    def __init__(self, domain: str = "a.example", servers: int = 2) -> None:
        self.domain = domain
        self.nodes = tuple(MemoryServer(number) for number in range(1, servers + 1))
        self.servers = tuple(node.server for node in self.nodes)
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self.asked: list[tuple[PowerDnsServer, str]] = []

    def publish(self, records: Sequence[NameRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]:
        return self._write("publish", records, alias_of, only)

    def publish_hosts(self, hosts: Sequence[HostRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]:
        return self._write("publish_hosts", hosts, hosts_of, only)

    def publish_entries(self, entries: Sequence[EntryRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]:
        return self._write("publish_entries", entries, entry_of, only)

    def withdraw(self, records: Sequence[NameRecord], *, only: PowerDnsServer | None = None) -> Deferred[None]:
        return self._write("withdraw", records, withdrawal_of, only)

    def contents(self, server: PowerDnsServer) -> Deferred[Mapping[str, Standing]]:
        node = self.nodes[self.servers.index(server)]
        if node.away:
            return fail(ZoneError(f"The DNS server {server} cannot be listed: it is away."))
        return succeed(dict(node.contents))

    def confirm_at(self, server: PowerDnsServer, record: NameRecord) -> Deferred[None]:
        node = self.nodes[self.servers.index(server)]
        if node.away:
            return fail(NoAnswer(f"The DNS server {server} does not answer."))
        self.asked.append((server, record.name))
        found = node.answers.get(record.name) or node.contents.get(record.name, Standing())
        if found.target != record.target:
            return fail(ZoneError(f"The DNS server {server}, asked for {record.name}, answered {found.target}."))
        return succeed(None)

    def look(self) -> Deferred[None]:
        return succeed(None)

    def _write(
        self,
        kind: str,
        records: Sequence[R],
        to_change: Callable[[R, str, int], Change],
        only: PowerDnsServer | None,
    ) -> Deferred[None]:
        try:
            changes = [to_change(record, self.domain, 10) for record in records]
        except ValueError as error:
            return fail(ZoneError(str(error)))
        if changes:
            self.calls.append((kind, tuple(change.name.partition(".")[0] for change in changes)))
        up = [node for node in self.nodes if not node.away and only in (None, node.server)]
        if changes and not up:
            return fail(ZoneError("No DNS server is up."))
        late = [change.name for node in up for change in changes if not node.write(change)]
        if late:
            return fail(NewerOwner(f"The record comes too late, a newer owner has the name: {', '.join(late)}."))
        return succeed(None)

"""
All that belongs to one server: its writer, its health, and where it is asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import dns.flags
import dns.message
import dns.rcode
from dns.message import Message
from dns.rdatatype import SOA
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from pinggy.dns.answer import LARGEST_DATAGRAM
from pinggy.dns.hostnames import parse_name
from pinggy.dns.powerdns.api import PowerDnsApi
from pinggy.dns.powerdns.changes import Change
from pinggy.dns.powerdns.health import Health
from pinggy.dns.powerdns.queue import Outcome
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.powerdns.writer import ServerAway, Writer
from pinggy.dns.probe import DnsProbe
from pinggy.dns.question import ask
from pinggy.dns.zone import NameRecord, ZoneError

T = TypeVar("T")
# Names whose changes a server has missed; of more, the core's custodian puts the oldest right.
_MOST_OWED = 20_000
# A question is sent so often, each time waited for so many seconds at the most.
_ASKED_TIMES, _ASKED_SECONDS = 3, 1.0


class Timed(Protocol):
    """Who is told how many seconds a write to a server took, or a question to it, whatever came of it."""

    def wrote(self, server: str, seconds: float) -> object:
        """*server* is its place."""
        ...

    def asked(self, server: str, seconds: float) -> object: ...


class Lane:
    """*returned* is called with *server* when it is back; *timed* is told how long it takes."""

    def __init__(
        self,
        reactor: Any,
        server: PowerDnsServer,
        domain: str,
        timeout: float,
        returned: Callable[[PowerDnsServer], None],
        timed: Timed | None = None,
    ) -> None:
        self.server = server
        self._timed = timed
        self.api = PowerDnsApi(
            reactor, server.url, domain, key=server.key, gate=server.gate, ca=server.ca, timeout=timeout
        )
        self.health = Health(reactor, str(server), self._healthy, lambda: returned(server))
        self._reactor = reactor
        self._domain = domain
        self._writer = Writer(self.api.patch)
        self._owed: OrderedDict[str, Change] = OrderedDict()
        self._patience = min(_ASKED_SECONDS, timeout)
        self._probe = DnsProbe(reactor, [server.dns_server], timeout=self._patience, tries=_ASKED_TIMES)

    @property
    def up(self) -> bool:
        return self.health.state.up

    @property
    def why(self) -> str:
        return self.health.state.why.rstrip(".")

    def put(self, changes: Sequence[Change]) -> Deferred[tuple[Outcome, ...]]:
        """As `Writer.put`; a failure marks the server down."""
        written = self._writer.put(changes).addErrback(self._failed)
        return written if self._timed is None else self._time(written, self._timed.wrote)

    def _time(self, call: Deferred[T], tell: Callable[[str, float], object]) -> Deferred[T]:
        began = self._reactor.seconds()

        def over(result: T) -> T:
            tell(self.server.place, self._reactor.seconds() - began)
            return result

        return call.addBoth(over)

    def owe(self, changes: Sequence[Change]) -> None:
        """
        The server has missed *changes*: `pay` them when it is back. Its gate sees to it that they are not too late; to
        PowerDNS itself nothing is owed, for there a late change would undo a newer owner's.
        """
        if not self.server.gate:
            return
        for change in changes:
            standing = self._owed.get(change.name)
            if standing is None or standing.rank <= change.rank:
                self._owed[change.name] = change
                self._owed.move_to_end(change.name)
        while len(self._owed) > _MOST_OWED:
            self._owed.popitem(last=False)

    def pay(self) -> None:
        owed, self._owed = list(self._owed.values()), OrderedDict()
        if owed:
            self.put(owed).addErrback(self._still_owed, owed)

    def _still_owed(self, failure: Failure, owed: Sequence[Change]) -> None:
        failure.trap(ServerAway)
        self.owe(owed)

    def confirm(self, record: NameRecord) -> Deferred[None]:
        confirmed = self._probe.confirm_at(self.server.dns_server, record)
        return confirmed if self._timed is None else self._time(confirmed, self._timed.asked)

    def look(self) -> Deferred[None]:
        """
        Ask a server that is taken to be up whether it is; if not, it is marked down, and so told of when it is back.
        """
        return self._healthy().addErrback(self._not_well) if self.up else succeed(None)

    def _not_well(self, failure: Failure) -> None:
        failure.trap(ServerAway, ZoneError)
        self.health.down(failure.getErrorMessage())

    async def _close(self) -> None:
        self.health.stop()
        await self._writer.idle()
        await self.api.close()

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    def _failed(self, failure: Failure) -> Failure:
        if failure.check(ServerAway):
            self.health.down(failure.getErrorMessage())
        return failure

    def _healthy(self) -> Deferred[None]:
        """Fires where the server takes changes and answers questions."""
        return self.api.healthy().addCallback(lambda _: self._answers())

    def _answers(self) -> Deferred[None]:
        query = dns.message.make_query(parse_name(self._domain), SOA, use_edns=0, payload=LARGEST_DATAGRAM, flags=0)
        response = ask(self._reactor, self.server.dns_server, query, self._patience, _ASKED_TIMES)
        return response.addCallback(self._check)

    def _check(self, response: Message) -> None:
        if response.rcode() != dns.rcode.NOERROR or not response.flags & dns.flags.AA:
            raise ZoneError(f"it answers for {self._domain} with {dns.rcode.to_text(response.rcode())}")

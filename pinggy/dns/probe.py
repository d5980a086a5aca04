"""
Is it really there? Each authoritative server is asked for the record that was published.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from dns.message import Message
from dns.rdatatype import CNAME
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.python.failure import Failure

from pinggy.dns.answer import LARGEST_DATAGRAM
from pinggy.dns.hostnames import parse_name
from pinggy.dns.question import Clock, Server, ask, server_name
from pinggy.dns.zone import NameRecord, ZoneError
from pinggy.tunnel.refusals import echo


class DnsProbe:
    """
    Asks all *servers* (IP address and port of each) at once, each up to *tries* times with *timeout* seconds between.

    Raises ValueError where a server is not given by its address: to resolve names is not its job.
    """

    def __init__(self, reactor: Clock, servers: Sequence[Server], *, timeout: float = 1.0, tries: int = 3) -> None:
        for host, _ in servers:
            ip_address(host)
        self._reactor = reactor
        self._servers = tuple(servers)
        self._timeout = timeout
        self._tries = tries

    def confirm(self, record: NameRecord) -> Deferred[None]:
        """
        Fires when every server answers with *record*. Fails with one `ZoneError` that names each server which does
        not, and says what it answered, when the last of them has answered or has been given up.
        """
        return Deferred.fromCoroutine(self._confirm(record))

    def confirm_at(self, server: Server, record: NameRecord) -> Deferred[None]:
        """Fires when *server* answers with *record*; fails with `ZoneError` where it does not."""
        try:
            query = _query(record)
        except ValueError as error:
            return fail(ZoneError(f"The record cannot be asked for: {error}"))
        response = ask(self._reactor, server, query, self._timeout, self._tries)
        return response.addCallback(check, record, server)

    async def _confirm(self, record: NameRecord) -> None:
        asked = [self.confirm_at(each, record) for each in self._servers]
        outcomes = await DeferredList(asked, consumeErrors=True)
        failures = [cast(Failure, outcome) for succeeded, outcome in outcomes if not succeeded]
        for each in failures:
            if not each.check(ZoneError):
                each.raiseException()
        if failures:
            raise ZoneError(" ".join(each.getErrorMessage() for each in failures))


def check(response: Message, record: NameRecord, server: Server) -> None:
    """Raises `ZoneError` where *response* of *server* is not the whole, authoritative answer that says *record*."""
    asked = f"The DNS server {server_name(server)}, asked for {echo(record.name)},"
    if response.rcode() != dns.rcode.NOERROR:
        raise ZoneError(f"{asked} answered {dns.rcode.to_text(response.rcode())}.")
    if response.flags & dns.flags.TC:
        raise ZoneError(f"{asked} answered in part only.")
    if not response.flags & dns.flags.AA:
        raise ZoneError(f"{asked} answered without authority: it does not serve this zone.")
    owner, target = parse_name(record.name), parse_name(record.target)
    found = response.get_rrset(dns.message.ANSWER, owner, dns.rdataclass.IN, CNAME)
    if found is None:
        raise ZoneError(f"{asked} answered that it has no such alias.")
    targets = [each.target for each in found]
    if targets != [target]:
        said = echo(", ".join(str(each) for each in targets))
        raise ZoneError(f"{asked} answered {said} instead of {echo(record.target)}.")


def _query(record: NameRecord) -> Message:
    # The id is the library's: from a cryptographic source. No recursion: an authoritative server is asked.
    return dns.message.make_query(parse_name(record.name), CNAME, use_edns=0, payload=LARGEST_DATAGRAM, flags=0)

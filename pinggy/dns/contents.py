"""
What stands in a zone held in memory, and which node answers for a name (RFC 4592).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import dns.rdataset
from dns.name import Name
from dns.rdata import Rdata
from dns.rdataclass import IN
from dns.rdataset import Rdataset
from dns.rdatatype import CNAME, NS, SOA, RdataType
from dns.rdtypes.ANY.CNAME import CNAME as Alias
from dns.rdtypes.ANY.NS import NS as NameServer
from dns.rdtypes.ANY.SOA import SOA as StartOfAuthority

from pinggy.dns.rrsets import StaticRecord, check_together

Node = Mapping[RdataType, Rdataset]

# How long "no such name" may be believed: a name that is published soon after must not stay unknown (RFC 2308 5).
NEGATIVE_TTL = 5
# Of use to secondaries only, and there are none: zone transfers are refused.
_REFRESH, _RETRY, _EXPIRE = 3600, 600, 604800
_WILDCARD = b"*"


class Contents:
    """
    The records of the zone *origin*: the *static* ones, the aliases that come and go, and the SOA made from them.

    *ttl* is of every record, in seconds. *serial* grows by one (RFC 1982) with each `alias` or `drop` that changes
    something. Raises ValueError where *static* has no NS at the apex or does not fit together.
    """

    def __init__(self, origin: Name, static: Iterable[StaticRecord], ttl: int, serial: int) -> None:
        static = tuple(static)
        check_together(static)
        self.origin = origin
        self.serial = serial
        self._ttl = ttl
        self._nodes: dict[Name, dict[RdataType, Rdataset]] = {}
        # How many names with records lie at or below each: an empty non-terminal has some, and so exists.
        self._weight: Counter[Name] = Counter()
        for record in static:
            self._add(record.owner, record.rdata)
        self._static = frozenset(self._nodes)
        servers = self._nodes.get(origin, {}).get(NS)
        if not servers:
            raise ValueError(f"The zone {origin} has no name server: give it a record such as '@ NS ns1'.")
        first = servers[0]
        assert isinstance(first, NameServer)
        self._primary = first.target
        self._renew_soa()

    @property
    def soa(self) -> StartOfAuthority:
        soa = self._nodes[self.origin][SOA][0]
        assert isinstance(soa, StartOfAuthority)
        return soa

    def is_static(self, name: Name) -> bool:
        """Whether *name* has records from the settings."""
        return name in self._static

    def alias(self, name: Name, target: Name) -> None:
        """From now on *name*, which is not static, is ``CNAME target`` and nothing else."""
        record = Alias(IN, CNAME, target)
        standing = self._nodes.get(name, {}).get(CNAME)
        if standing is not None and standing[0] == record:
            return
        self._remove(name)
        self._add(name, record)
        self._changed()

    def drop(self, name: Name) -> None:
        """Take away what `alias` put at *name*."""
        if name in self._nodes:
            self._remove(name)
            self._changed()

    def find(self, name: Name) -> Node | None:
        """
        The records that answer for *name*, which lies in the zone: its own, or those of the wildcard below its closest
        encloser (RFC 4592 3.3.1). Empty for an empty non-terminal; None where the name does not exist.
        """
        if name in self._weight:
            return self._nodes.get(name, {})
        encloser = next(each for each in _ancestors(name) if each in self._weight)
        return self._nodes.get(Name((_WILDCARD, *encloser.labels)))

    def _add(self, name: Name, rdata: Rdata) -> None:
        if name not in self._nodes:
            self._weigh(name, 1)
        rdatasets = self._nodes.setdefault(name, {})
        if rdata.rdtype in rdatasets:
            rdatasets[rdata.rdtype].add(rdata)
        else:
            rdatasets[rdata.rdtype] = dns.rdataset.from_rdata(self._ttl, rdata)

    def _remove(self, name: Name) -> None:
        if self._nodes.pop(name, None) is not None:
            self._weigh(name, -1)

    def _weigh(self, name: Name, change: int) -> None:
        for each in (name, *_ancestors(name)):
            self._weight[each] += change
            if not self._weight[each]:
                del self._weight[each]
            if each == self.origin:
                return

    def _changed(self) -> None:
        self.serial = (self.serial + 1) % 2**32
        self._renew_soa()

    def _renew_soa(self) -> None:
        mailbox = Name((b"hostmaster", *self.origin.labels))
        soa = StartOfAuthority(
            IN, SOA, self._primary, mailbox, self.serial, _REFRESH, _RETRY, _EXPIRE, NEGATIVE_TTL
        )  # fmt: skip
        self._nodes[self.origin][SOA] = dns.rdataset.from_rdata(self._ttl, soa)


def _ancestors(name: Name) -> Iterator[Name]:
    labels = name.labels
    return (Name(labels[start:]) for start in range(1, len(labels)))

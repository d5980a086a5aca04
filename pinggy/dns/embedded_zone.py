"""
A zone held in memory: what an edge publishes is there for the very next question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dns.name import Name
from twisted.internet.defer import Deferred, fail, succeed

from pinggy.dns.contents import Contents
from pinggy.dns.fence import MOST_REMEMBERED, Fence
from pinggy.dns.hostnames import parse_name
from pinggy.dns.rrsets import StaticRecord
from pinggy.dns.zone import NameRecord, NewerOwner, ZoneError


class EmbeddedZone:
    """
    The zone *domain* as a `Zone`: tunnels' names come and go beside the *static* records.

    *ttl* is in seconds. *serial* is the first one; give a time in seconds where zones of an earlier start may be
    remembered by somebody. Raises ValueError where *static* has no ``@ NS`` or contradicts itself.
    """

    def __init__(
        self,
        domain: str,
        static: Iterable[StaticRecord],
        *,
        ttl: int = 10,
        serial: int = 1,
        most_remembered: int = MOST_REMEMBERED,
    ) -> None:
        self.domain = domain
        self.contents = Contents(parse_name(domain), static, ttl, serial)
        self._fence = Fence(most_remembered)

    def publish(self, records: Sequence[NameRecord]) -> Deferred[None]:
        try:
            parsed = [(record, self._owner(record), parse_name(record.target)) for record in records]
        except ValueError as error:
            return fail(ZoneError(f"The zone {self.domain} cannot hold this name: {error}"))
        late: list[str] = []
        for record, owner, target in parsed:
            if self._fence.admit(_key(owner), record.epoch):
                self.contents.alias(owner, target)
            else:
                late.append(str(owner))
        if late:
            return fail(NewerOwner(f"The record comes too late, a newer owner has the name: {', '.join(late)}"))
        return succeed(None)

    def withdraw(self, records: Sequence[NameRecord]) -> Deferred[None]:
        try:
            parsed = [(record, self._owner(record)) for record in records]
        except ValueError as error:
            return fail(ZoneError(f"The zone {self.domain} cannot hold this name: {error}"))
        for record, owner in parsed:
            if self._fence.release(_key(owner), record.epoch, any_lower=not record.target):
                self.contents.drop(owner)
        return succeed(None)

    def _owner(self, record: NameRecord) -> Name:
        """The zone's own names, wildcards and underscores are refused wherever a name can enter."""
        owner = parse_name(record.name)
        origin = self.contents.origin
        if owner == origin or not owner.is_subdomain(origin):
            raise ValueError(f"{owner} is not below {origin}")
        if self.contents.is_static(owner) or owner.labels[0].startswith((b"*", b"_")):
            raise ValueError(f"{owner} belongs to the zone itself")
        return owner


def _key(owner: Name) -> str:
    return owner.canonicalize().to_text()

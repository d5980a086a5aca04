"""
Grants as records of the zone, each with the core's proof.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pinggy.core.zone_book import Entry
from pinggy.dns.zone import EntryRecord, HostRecord, NameRecord
from pinggy.tunnel.refusals import NotFound
from pinggy.wire.operator import GrantKey
from pinggy.wire.proof import Claim, sign


class Records:
    """Those of the zone *domain*; with *key* None their proofs are empty."""

    def __init__(self, domain: str, key: Ed25519PrivateKey | None) -> None:
        self.domain = domain
        self._key = key

    @property
    def signs(self) -> bool:
        return self._key is not None

    def name(self, label: str, region: str, epoch: int) -> NameRecord:
        """A tunnel's *label* leads to *region*."""
        name, target = self.absolute(label), self.absolute(region)
        return NameRecord(
            name=name, target=target, epoch=epoch, proof=self._sign(Claim(name=name, target=target, epoch=epoch))
        )

    def nothing(self, label: str, epoch: int) -> NameRecord:
        """At *label* nothing may stand that is older than *epoch*: a record to be withdrawn, without a target."""
        name = self.absolute(label)
        return NameRecord(name=name, target="", epoch=epoch, proof=self._sign(Claim(name=name, epoch=epoch)))

    def host(self, region: str, addresses: Sequence[str], epoch: int) -> HostRecord:
        """The edges of *region* have these *addresses*; without any, its record goes."""
        name = self.absolute(region)
        claim = Claim(name=name, addresses=tuple(addresses), epoch=epoch)
        return HostRecord(name=name, addresses=tuple(addresses), epoch=epoch, proof=self._sign(claim))

    def entry(self, entry: Entry, ttl: int) -> EntryRecord:
        """Clients are led to the nearest edge, *ttl* seconds long; without edges, its record goes."""
        claim = Claim(name=entry.name, addresses=entry.addresses, port=entry.port, epoch=entry.epoch)
        return EntryRecord(
            name=entry.name,
            addresses=entry.addresses,
            port=entry.port,
            ttl=ttl,
            epoch=entry.epoch,
            proof=self._sign(claim),
        )

    def absolute(self, label: str) -> str:
        """The name of *label*; of an empty one, the zone's own."""
        return f"{label}.{self.domain}" if label else self.domain

    def grant_key(self) -> GrantKey:
        """The public half. Raises `NotFound` where nothing is signed."""
        if self._key is None:
            raise NotFound("This core signs no grants: it has no setting grant_key.")
        return GrantKey(key=base64.b64encode(self._key.public_key().public_bytes_raw()).decode("ascii"))

    @property
    def signing_key(self) -> Ed25519PrivateKey | None:
        """For what else the core signs."""
        return self._key

    def _sign(self, claim: Claim) -> str:
        return "" if self._key is None else sign(claim, self._key)

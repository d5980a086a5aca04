"""
What a gate does: changes are held to their proofs and epochs, then written; PowerDNS is behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pinggy.dns.powerdns.api import PowerDnsApi
from pinggy.dns.powerdns.changes import NEWER_OWNER, Change, Refused
from pinggy.dns.powerdns.writer import ServerAway, Writer
from pinggy.gate.asked import read_patch
from pinggy.gate.complaints import Complaints
from pinggy.gate.epochs import Epochs, Verdict
from pinggy.gate.metrics import GateMetrics

# Seconds for which PowerDNS's health is believed: strangers may ask.
_HEALTH_KEPT = 1.0


class Door:
    """Before the zone *domain* of the PowerDNS behind *api*. *away*: PowerDNS takes no changes, as far as is known."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        domain: str,
        grant_key: Ed25519PublicKey,
        epochs: Epochs,
        api: PowerDnsApi,
        metrics: GateMetrics | None = None,
    ) -> None:
        self._clock = clock
        self._domain = domain
        self._grant_key = grant_key
        self._epochs = epochs
        self._api = api
        self._metrics = metrics or GateMetrics()
        self._writer = Writer(self._patch)
        self._complaints = Complaints(clock)
        self.away = False
        self._asked = float("-inf")
        self._asking: Deferred[None] | None = None
        self._trouble: str | None = None

    async def patch(self, body: bytes, address: str) -> tuple[Refused, ...]:
        """
        Write what *body* asks for and the core has signed; returns what of it was not written.

        Raises `Malformed`, `EpochsUnusable`, and `ServerAway` where PowerDNS did not take it: the same may be asked
        again then.
        """
        asked = read_patch(body, self._domain, self._grant_key)
        for each in asked.refused:
            self._complaints.add(each, address)
        verdicts = self._epochs.admit(asked.changes, self._clock.seconds())
        late = [
            Refused(name=change.name, why=NEWER_OWNER, stale=True)
            for change, verdict in zip(asked.changes, verdicts, strict=True)
            if verdict is not Verdict.WRITTEN
        ]
        admitted = [
            change for change, verdict in zip(asked.changes, verdicts, strict=True) if verdict is Verdict.WRITTEN
        ]
        self._metrics.refused("not-proven", len(asked.refused))
        self._metrics.refused("stale", verdicts.count(Verdict.STALE))
        self._metrics.refused("gone", verdicts.count(Verdict.DONE))
        return (*asked.refused, *late, *await self._write(admitted))

    def _patch(self, changes: Sequence[Change]) -> Deferred[Mapping[str, Refused]]:
        began = self._clock.seconds()

        def timed(result: Any) -> Any:
            self._metrics.patched(self._clock.seconds() - began)
            return result

        return self._api.patch(changes).addBoth(timed)

    async def _write(self, changes: Sequence[Change]) -> list[Refused]:
        try:
            outcomes = await self._writer.put(changes)
        except ServerAway as error:
            self._went_away(str(error))
            raise
        if changes:
            self._came_back()
        refused = [each for each in outcomes if each is not None]
        self._metrics.refused("powerdns", len(refused))
        self._metrics.passed(len(changes) - len(refused))
        return refused

    async def listing(self) -> bytes:
        """The zone as PowerDNS lists it. Raises `ServerAway`."""
        return await self._api.raw_listing()

    async def healthy(self) -> None:
        """Raises `ServerAway` where PowerDNS would not take changes now."""
        if self._asking is None and self._clock.seconds() - self._asked >= _HEALTH_KEPT:
            self._asking = Deferred.fromCoroutine(self._look())
        if self._asking is not None:
            answered: Deferred[None] = Deferred()
            self._asking.addBoth(lambda _: answered.callback(None))
            await answered
        if self._trouble is not None:
            raise ServerAway(self._trouble)

    async def _look(self) -> None:
        try:
            await self._api.healthy()
        except ServerAway as error:
            self._trouble = str(error)
            self._went_away(self._trouble)
        else:
            self._trouble = None
            self._came_back()
        self._asked = self._clock.seconds()
        self._asking = None

    async def close(self) -> None:
        """Returns when what is under way is over."""
        await self._writer.idle()
        await self._api.close()
        self._epochs.close()

    def _went_away(self, why: str) -> None:
        if not self.away:
            self._log.warn("PowerDNS takes no changes: {why}", why=why)
        self.away = True

    def _came_back(self) -> None:
        if self.away:
            self._log.info("PowerDNS takes changes again")
        self.away = False

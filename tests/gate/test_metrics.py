"""
What a gate shows of itself: what it let through, and what not and why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.logger import LogLevel

from pinggy.dns.powerdns.zone import PowerDnsZone
from pinggy.dns.zone import NewerOwner, ZoneError
from tests.dns.zones import DOMAIN, record
from tests.metrics.expositions import Scraped, scrape, somewhere
from tests.support.gates import Gate, signed
from tests.support.logs import logged
from tests.support.powerdns import PowerDns

asynchronous = pytest_twisted.ensureDeferred


class Watched:
    def __init__(self, powerdns: PowerDns, folder: Path) -> None:
        self.port, settings = somewhere()
        self.gate = Gate(powerdns, folder, metrics=settings)
        self.zone = PowerDnsZone(reactor, DOMAIN, [self.gate.server])

    async def shown(self) -> Scraped:
        return await scrape(self.port)

    async def refused(self) -> dict[str, float]:
        """Those that there were, by why."""
        samples = (await self.shown()).families["pinggy_gate_changes_refused"].samples
        return {each.labels["why"]: each.value for each in samples if each.value}

    async def stop(self) -> None:
        await self.zone.close()
        await self.gate.stop()


@pytest_twisted.async_yield_fixture
async def watched(powerdns: PowerDns, tmp_path: Path) -> AsyncIterator[Watched]:
    made = Watched(powerdns, tmp_path)
    yield made
    await made.stop()


@asynchronous
async def test_what_is_let_through_and_what_is_not(watched: Watched) -> None:
    zone = watched.zone
    await zone.publish([signed(record(epoch=5)), signed(record("other", epoch=1))])
    assert await watched.refused() == {}
    with pytest.raises(NewerOwner):
        await zone.publish([signed(record(epoch=4))])
    await zone.withdraw([signed(record(epoch=3))])
    with logged("pinggy.gate.complaints", LogLevel.warn), pytest.raises(ZoneError):
        await zone.publish([replace(record("forged", epoch=9), proof="no proof")])
    assert await watched.refused() == {"stale": 1, "gone": 1, "not-proven": 1}
    shown = await watched.shown()
    assert shown.value("pinggy_gate_changes_passed_total") == 2
    assert shown.value("pinggy_gate_patch_seconds_count") == 1
    assert shown.value("pinggy_gate_epochs_known") == 2
    assert shown.value("pinggy_gate_powerdns_away") == 0
    assert shown.value("pinggy_gate_certificate_expiry_timestamp_seconds") > reactor.seconds()


@pytest_twisted.ensureDeferred
async def test_powerdns_that_is_away_is_shown(tmp_path: Path) -> None:
    server = PowerDns()
    server.start()
    server.make_zone()
    watched = Watched(server, tmp_path)
    server.stop()
    with pytest.raises(ZoneError):
        await watched.zone.publish([signed(record(epoch=1))])
    assert (await watched.shown()).value("pinggy_gate_powerdns_away") == 1
    assert (await watched.shown()).value("pinggy_gate_patch_seconds_count") == 1
    await watched.stop()

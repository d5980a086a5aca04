"""
What the three daemons show, fetched from their ports: real ones, each alone in this process, with nobody behind it that
it does not need.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import treq
from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.task import Clock

from pinggy.dns.zone import Probe, Zone
from pinggy.edge.config import Certificate, CoreLink, EdgeSettings, Listen
from pinggy.edge.local_ca import ensure_local_certificate
from pinggy.edge.service import make_edge
from pinggy.edge.ssh.hostkeys import ensure_host_keys
from pinggy.gate.config import GateSettings, ListenSettings, PowerDnsSettings
from pinggy.gate.service import GateService
from pinggy.metrics.config import MetricsSettings
from pinggy.metrics.metrics import Metrics
from pinggy.settings import Secret
from pinggy.testing.core import FakeCore
from tests.support.cores import OverHttp
from tests.support.edges import NotedZone
from tests.support.gates import READ_KEY, public_text
from tests.support.service import free_port

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


@dataclass
class Scraped:
    """The families that one daemon shows, by name."""

    families: dict[str, Metric]

    def value(self, name: str, **labels: str) -> float:
        """Of the sample *name* with these *labels*."""
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        raise AssertionError(f"there is no {name} with {labels}")

    def series(self) -> set[str]:
        """The names that can be asked for, also of families that have no sample yet."""
        return {name + suffix for name, family in self.families.items() for suffix in SUFFIXES[family.type]}


def parsed(text: str) -> Scraped:
    return Scraped({family.name: family for family in text_string_to_metric_families(text)})


def exposed(*shown: Metrics) -> Scraped:
    """What *shown* would be asked for, without a port."""
    for each in shown:
        each.refresh()
    return parsed("".join(generate_latest(each.registry).decode() for each in shown))


async def scrape(port: int) -> Scraped:
    response = await treq.get(f"http://127.0.0.1:{port}/metrics", persistent=False, timeout=20)
    assert response.code == 200
    return parsed(await response.text())


def all_series(daemons: Iterable[Scraped]) -> set[str]:
    return set().union(*(each.series() for each in daemons))


def somewhere() -> tuple[int, MetricsSettings]:
    port = free_port()
    return port, MetricsSettings(listen=f"127.0.0.1:{port}")


@asynccontextmanager
async def core_daemon(database: Secret) -> AsyncIterator[tuple[OverHttp, int]]:
    port, settings = somewhere()
    core = await OverHttp.start(database, metrics=settings)
    try:
        yield core, port
    finally:
        await core.stop()


@asynccontextmanager
async def edge_daemon(folder: Path) -> AsyncIterator[int]:
    port, settings = somewhere()
    tls = ensure_local_certificate(folder / "tls", "a.example", datetime.now(UTC))
    edge_settings = EdgeSettings(
        core=CoreLink(url="http://127.0.0.1:1", secret=Secret("no matter")),
        host_keys=ensure_host_keys(folder / "ssh"),
        certificate=Certificate(file=tls.certificate, key=tls.key),
        listen=Listen(public=("127.0.0.1:0",)),
        metrics=settings,
    )
    zone = NotedZone()

    def zone_of(domain: str) -> tuple[Zone, Probe]:
        return zone, zone

    edge = make_edge(reactor, edge_settings, FakeCore(Clock()).client(), zone_of)
    edge.startService()
    await edge.ready()
    try:
        yield port
    finally:
        await edge.stopService()


@asynccontextmanager
async def gate_daemon(folder: Path) -> AsyncIterator[int]:
    port, settings = somewhere()
    gate_settings = GateSettings(
        domain="a.example",
        state=folder / "gate",
        grant_key=public_text(),
        read_key=READ_KEY,
        powerdns=PowerDnsSettings(key=Secret("no matter"), url="http://127.0.0.1:1"),
        listen=ListenSettings(port=0),
        metrics=settings,
    )
    gate = GateService(reactor, gate_settings, pytest.fail)
    gate.startService()
    try:
        yield port
    finally:
        await gate.stopService()


async def expositions(database: Secret, folder: Path) -> list[Scraped]:
    """Of a core, an edge and a gate."""
    async with core_daemon(database) as (_, core), edge_daemon(folder) as edge, gate_daemon(folder) as gate:
        return [await scrape(port) for port in (core, edge, gate)]

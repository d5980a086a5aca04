"""
The nearest edge on loopback: a core, a gate and a PowerDNS, edges that only listen, and visitors from three places.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import maxminddb
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, globalLogPublisher

from pinggy.core.config import ListenSettings
from pinggy.core.entry_settings import EntrySettings
from pinggy.core.grant_key import ensure_grant_key
from pinggy.dns.config import ZoneSettings
from pinggy.gate.config import CoreSettings, GeoSettings
from pinggy.settings import Secret
from pinggy.wire.operator import AddEdge
from tests.support.cores import OverHttp
from tests.support.gates import Gate, public_text
from tests.support.logs import LogLines
from tests.support.powerdns import LOOPBACK, PowerDns
from tests.support.service import PATIENCE, free_port

# Where who asks is, as the operator's database has it; where the edges are.
VISITORS = {"eu": "198.51.100.1", "us": "203.0.113.1", "ap": "192.0.2.1"}
_NETWORKS = {"198.51.100.0/24": (50, 10), "203.0.113.0/24": (40, -75), "192.0.2.0/24": (35, 139)}
EDGES = {"eu": "127.0.1.1", "us": "127.0.1.2", "ap": "127.0.1.3"}
PLACES = {"eu": (53.35, -6.26), "us": (39.0, -77.5), "ap": (1.35, 103.8)}


def make_database(path: Path) -> Path:
    writer = MMDBWriter(6, "GeoLite2-City", languages=["en"], description="x", ipv4_compatible=True)
    for network, (latitude, longitude) in _NETWORKS.items():
        location = {"latitude": float(latitude), "longitude": float(longitude)}
        writer.insert_network(IPSet([network]), {"location": location})
    writer.to_db_file(str(path))
    return path


class Nearest:
    """All of it, in *folder*. `start` it, `stop` it."""

    def __init__(self, powerdns: PowerDns, database: Secret, folder: Path, name: str = "@") -> None:
        self.port = free_port()
        self._powerdns = powerdns
        self._url = database
        core_port = free_port()
        key = ensure_grant_key(folder / "grant.key")
        self.gate = Gate(
            powerdns,
            folder,
            grant_key=public_text(key),
            core=CoreSettings(url=f"http://{LOOPBACK}:{core_port}"),
            geoip=GeoSettings(file=powerdns.geo_file, control_dir=powerdns.folder, interval=0.3),
        )
        self._settings: dict[str, Any] = {
            "listen": ListenSettings(port=core_port),
            "grant_key": folder / "grant.key",
            "zone": ZoneSettings(servers=(self.gate.server,)),
            "entry": EntrySettings(
                kind="lua", name=name, port=self.port, ttl=7, database=make_database(folder / "city.mmdb")
            ),
        }
        self._listening: dict[str, Any] = {}
        self._log = LogLines("pinggy.gate.geo", LogLevel.info)
        globalLogPublisher.addObserver(self._log)
        self._core: OverHttp | None = None

    @property
    def core(self) -> OverHttp:
        assert self._core is not None
        return self._core

    async def start(self, *regions: str) -> None:
        """With an edge in each of *regions*."""
        self._core = await OverHttp.start(self._url, **self._settings)
        for region in regions:
            await self.add(region)
        await self.placed(**{region: region for region in regions})

    async def placed(self, **regions: str) -> None:
        """
        Returns when PowerDNS has loaded a file that has the edge of each region where the named one is. Nobody may ask
        before: PowerDNS 4.7 can crash over a question while it loads a file.
        """

        def is_so() -> bool:
            body = self._powerdns.geo_file.read_bytes()
            digest = hashlib.sha256(body).hexdigest()[:16]
            with maxminddb.open_database(self._powerdns.geo_file) as reader:
                records: dict[str, Any] = {region: reader.get(EDGES[region]) for region in regions}
            there = {
                region: (record["location"]["latitude"], record["location"]["longitude"])
                for region, record in records.items()
                if record is not None
            }
            wanted = {region: PLACES[place] for region, place in regions.items()}
            return there == wanted and any("has loaded" in line and digest in line for line in self._log.lines)

        await until(is_so, lambda: self._log.lines)

    async def add(self, region: str) -> None:
        self.listen(region)
        latitude, longitude = PLACES[region]
        await self.core.operator.add_edge(
            AddEdge(
                name=f"{region}-1",
                region=region,
                addresses=(EDGES[region],),
                latitude=latitude,
                longitude=longitude,
            )
        )

    def listen(self, region: str) -> None:
        """Its edge lives."""
        factory: Any = Factory.forProtocol(Protocol)
        factory.noisy = False
        self._listening[region] = reactor.listenTCP(self.port, factory, interface=EDGES[region])

    async def kill(self, region: str) -> None:
        """Nothing listens there any more."""
        await maybeDeferred(self._listening.pop(region).stopListening)

    async def stop(self) -> None:
        for region in list(self._listening):
            await self.kill(region)
        if self._core is not None:
            await self._core.stop()
        await self.gate.stop()
        globalLogPublisher.removeObserver(self._log)

    def ask(self, name: str = "a.example", kind: str = "A", of: str = "eu") -> list[str]:
        """What a resolver is told that asks for a client in *of*."""
        command = ["dig", "+short", "+norecurse", "+tries=2", "+time=2", f"@{LOOPBACK}", "-p"]
        command += [str(self._powerdns.dns_port), name, kind, f"+subnet={VISITORS[of]}/32"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout.split()

    def answers(self, name: str = "a.example") -> dict[str, str]:
        """The edge that each of the three places is led to."""
        regions = {address: region for region, address in EDGES.items()}
        found = {}
        for place in VISITORS:
            answer = self.ask(name, of=place)
            found[place] = regions.get(answer[0], answer[0]) if answer else ""
        return found


async def until(is_so: Callable[[], bool], why: Callable[[], object]) -> None:
    """Returns when *is_so*, which is asked now and again while the reactor runs."""
    bound = reactor.seconds() + PATIENCE
    while not is_so():
        assert reactor.seconds() < bound, why()
        await deferLater(reactor, 0.05)

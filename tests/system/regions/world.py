"""
The map of the world that is broken here:

    hub             core-1, core-2 behind the balancer; postgres; the driver itself
    us              edge-us, powerdns-us behind gate-us
    eu              edge-eu, powerdns-eu behind gate-eu
    ap              edge-ap
    clients         every account's ssh, and what it serves
    visitors        those who ask, and their resolvers: honest, other, overstays

Each site is a network namespace with one veth cable to the wire (``latency``), which delays what goes from one site to
another, and can lose it in one direction or in both. Where namespaces are not allowed, each site is an address on
loopback: nothing is delayed there, and no link can be cut.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pinggy.edge.ssh.hostkeys import ensure_host_keys, known_hosts_lines, load_host_keys
from tests.support.deployment import BIN
from tests.support.service import PATIENCE, free_port
from tests.system.regions import clients, files, resolvers, visitors
from tests.system.regions.files import DOMAIN, Timing
from tests.system.regions.namespaces import WIRE, Site, lay_cables, take_up_cables
from tests.system.regions.population import EDGES, make_population
from tests.system.regions.processes import Program

HUB = "hub"
CORES = (1, 2)
WITH_POWERDNS = ("us", "eu")
_SITES = (HUB, *EDGES, "clients", "visitors")

# Seconds one way, as between the continents; the hub is near us, clients and visitors are near every edge.
NEAR = 0.001
DELAYS = {
    frozenset(("us", "eu")): 0.040,
    frozenset(("us", "ap")): 0.060,
    frozenset(("eu", "ap")): 0.080,
    frozenset((HUB, "us")): NEAR,
    frozenset((HUB, "eu")): 0.040,
    frozenset((HUB, "ap")): 0.060,
    **{frozenset((who, edge)): 0.005 for who in ("clients", "visitors") for edge in EDGES},
}


class World:
    """
    *cables*: with namespaces. *members* accounts have names of their own, *rivals* contest one. *far* is a factor for
    all delays, 0 for none.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cables: bool,
        members: int = 6,
        rivals: int = 2,
        far: float = 1.0,
        timing: Timing | None = None,
    ) -> None:
        self.folder = folder
        self.members = members
        self.rivals = rivals
        self.far = far
        self.timing = timing or Timing()
        self.cables = cables
        self.sites = {
            name: Site(name=name, number=number, namespace=name if cables and name != HUB else "", cables=cables)
            for number, name in enumerate(_SITES, start=1)
        }
        self.hub = self.sites[HUB]
        self.programs: dict[str, Program] = {}
        self.tokens: dict[str, str] = {}
        self.database = ""
        self._postgres_port = free_port()
        self._wire: Program | None = None
        self._removed: list[Path] = []
        self.certificate = files.make_certificate(folder, list(self.sites.values()))
        self.host_keys = ensure_host_keys(folder / "ssh")
        self._zone_sites = [self.sites[name] for name in WITH_POWERDNS]
        (folder / "operator.key").write_text(files.OPERATOR_KEY)
        (folder / "operator.key").chmod(0o600)
        (folder / "powerdns.key").write_text(files.POWERDNS_KEY)
        (folder / "powerdns.key").chmod(0o600)
        (folder / "known_hosts").write_text(
            "".join(
                known_hosts_lines(load_host_keys(self.host_keys), self.sites[edge].address, files.PUBLIC)
                for edge in EDGES
            )
        )

    # -- from installation to running -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Everything but clients and visitors."""
        if self.cables:
            lay_cables(list(self.sites.values()))
            self._start_wire()
        await self._start_postgres()
        for site in self._zone_sites:
            await self._start_powerdns(site)
        await self._start_cores()
        grant_key = self.pinggy("zone", "key").splitlines()[-1].split('"')[-2]
        for site in self._zone_sites:
            await self._start_gate(site, grant_key)
        for edge in EDGES:
            await self._start_edge(self.sites[edge])
        await self._start_resolvers()
        self._register_members()

    def stop(self) -> None:
        """All that runs is killed: whatever state it is in."""
        for program in (*self.programs.values(), *([self._wire] if self._wire is not None else [])):
            if program.status is None and program.runs:
                program.kill()
        if self._wire is not None:
            take_up_cables(list(self.sites.values()))
        for folder in self._removed:
            shutil.rmtree(folder, ignore_errors=True)

    def _add(self, name: str, site: Site, words: Sequence[str], ready: str) -> Program:
        program = self.programs[name] = Program(name, site, words, folder=self.folder, ready=ready)
        return program

    def _start_wire(self) -> None:
        words = [sys.executable, "-m", "tests.system.regions.latency"]
        words += [f"{site.name}={site.number}" for site in self.sites.values()]
        for pair, seconds in DELAYS.items():
            words += ["--delay", f"{'-'.join(sorted(pair))}={seconds * self.far}"]
        wire = Site(name=WIRE, number=0, namespace=WIRE)
        self._wire = Program(WIRE, wire, words, folder=self.folder, ready="")
        self._wire.launch()

    async def _start_postgres(self) -> None:
        words = [sys.executable, "-m", "tests.support.run_postgres"]
        words += [str(self.folder / "postgres"), str(self._postgres_port)]
        await self._add("postgres", self.hub, words, "postgresql://").start()
        self.database = (self.folder / "postgres.log").read_text().split()[-1]

    async def _start_powerdns(self, site: Site) -> None:
        # Its user may not enter the folders above ours.
        folder = Path(tempfile.mkdtemp(prefix="pinggy-powerdns-", dir="/run" if self.cables else None))
        self._removed.append(folder)
        (folder / "pdns.conf").write_text(files.pdns_conf(folder, site))
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        words = ["pdns_server", f"--config-dir={folder}", "--daemon=no", "--guardian=no", "--disable-syslog"]
        await self._add(f"powerdns-{site.name}", site, words, "Done launching threads").start()
        servers = zip(WITH_POWERDNS, self._zone_sites, strict=True)
        names = [f"--ns=ns{number}.{DOMAIN}={each.address}" for number, (_, each) in enumerate(servers, start=1)]
        api = f"http://{site.loopback}:{files.API}"
        key = str(self.folder / "powerdns.key")
        self.pinggy("zone", "init", DOMAIN, "--server", api, "--key-file", key, *names, site=site)

    async def _start_cores(self) -> None:
        zone = files.zone_servers(self._zone_sites, self.certificate, read_key=True)
        for number in CORES:
            config = self.folder / f"core-{number}.toml"
            config.write_text(
                files.core_toml(
                    self.folder, number, self.hub.address, self.database, zone, self.certificate, self.timing
                )
            )
            await self._add(f"core-{number}", self.hub, _twistd("pinggy-core", config), "the core listens").start()
        ports = [str(port) for port in (files.CORE, *(files.FIRST_CORE + number - 1 for number in CORES))]
        words = [sys.executable, "-m", "tests.support.balancer", *ports, "--host", self.hub.address]
        await self._add("balancer", self.hub, words, "the balancer listens").start()

    async def _start_gate(self, site: Site, grant_key: str) -> None:
        config = self.folder / f"gate-{site.name}.toml"
        config.write_text(files.gate_toml(self.folder, site, grant_key, self.certificate))
        await self._add(f"gate-{site.name}", site, _twistd("pinggy-zone", config), "listens on https").start()

    async def _start_edge(self, site: Site) -> None:
        words = ("--region", site.name, "--address", site.address, "--secret-only")
        secret = self.pinggy("edge", "add", site.name, *words)
        zone = files.zone_servers(self._zone_sites, self.certificate, read_key=False)
        core = f"https://{self.hub.address}:{files.CORE}"
        config = self.folder / f"edge-{site.name}.toml"
        config.write_text(files.edge_toml(site, core, secret, self.host_keys, zone, self.certificate, self.timing))
        await self._add(f"edge-{site.name}", site, _twistd("pinggy-edge", config), "is ready").start()

    async def _start_resolvers(self) -> None:
        site = self.sites["visitors"]
        servers = [(each.address, files.DNS) for each in self._zone_sites]
        for resolver in resolvers.RESOLVERS:
            config = self.folder / f"resolver-{resolver.name}.conf"
            config.write_text(resolvers.unbound_conf(resolver, site.address, DOMAIN, servers))
            name = f"resolver-{resolver.name}"
            await self._add(name, site, resolvers.command(config), resolvers.READY).start()

    def _register_members(self) -> None:
        for member in make_population(self.members, rivals=self.rivals):
            self.pinggy("account", "add", member.account)
            for name in member.names:
                self.pinggy("name", "reserve", member.account, name)
            for port in member.ports:
                self.pinggy("port", "reserve", member.account, str(port))
            self.tokens[member.account] = self.pinggy("token", "add", member.account)

    # -- who uses it --------------------------------------------------------------------------------------------------

    @property
    def visits(self) -> Path:
        return self.folder / "visits.jsonl"

    @property
    def client_events(self) -> Path:
        return self.folder / "clients.jsonl"

    def start_clients(self) -> Program:
        settings = clients.Settings(
            history=str(self.client_events),
            known_hosts=str(self.folder / "known_hosts"),
            certificate=str(self.certificate.file),
            key=str(self.certificate.key),
            port=files.PUBLIC,
            edges={edge: self.sites[edge].address for edge in EDGES},
            tokens=self.tokens,
            members=self.members,
            rivals=self.rivals,
        )
        return self._launch("clients", asdict(settings))

    def start_visitors(self, *, rate: float, seed: int, only: str = "") -> Program:
        address = self.sites["visitors"].address
        settings = visitors.Settings(
            history=str(self.visits),
            domain=DOMAIN,
            port=files.PUBLIC,
            ca=str(self.certificate.file),
            resolvers={each.name: (address, each.port) for each in resolvers.RESOLVERS},
            rate=rate,
            seed=seed,
            members=self.members,
            rivals=self.rivals,
            only=only,
        )
        return self._launch("visitors", asdict(settings))

    def _launch(self, name: str, settings: Mapping[str, object]) -> Program:
        config = self.folder / f"{name}.json"
        config.write_text(json.dumps(settings))
        words = [sys.executable, "-m", f"tests.system.regions.{name}", str(config)]
        program = self._add(name, self.sites[name], words, "")
        program.launch()
        return program

    # -- what is done to it -------------------------------------------------------------------------------------------

    def cut(self, sender: str, receiver: str) -> None:
        """Lose what *sender* sends to *receiver*, from now on."""
        assert self._wire is not None
        self._wire.tell(f"cut {sender} {receiver}")

    def heal(self, sender: str, receiver: str) -> None:
        assert self._wire is not None
        self._wire.tell(f"heal {sender} {receiver}")

    def pinggy(self, *words: str, site: Site | None = None) -> str:
        """What the operator's command says, run at the hub or at *site*."""
        environment = {
            **os.environ,
            "PINGGY_CORE": f"https://{self.hub.address}:{files.CORE}",
            "PINGGY_KEY_FILE": str(self.folder / "operator.key"),
            "SSL_CERT_FILE": str(self.certificate.file),
        }
        done = subprocess.run(
            [*(site or self.hub).enter, str(BIN / "pinggy"), *words],
            env=environment,
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def complaints(self) -> list[str]:
        """Tracebacks and lost errors in any program's log."""
        return [complaint for program in self.programs.values() for complaint in program.complaints()]


def _twistd(daemon: str, config: Path) -> tuple[str, ...]:
    return (str(BIN / "twistd"), "--nodaemon", "--pidfile=", daemon, "--config", str(config))

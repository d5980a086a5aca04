"""
A whole service of several daemons, each a real process as an operator starts it: PostgreSQL, one core or several behind
a balancer, PowerDNS servers behind gates that speak TLS, and an edge in each region at a loopback address of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from pinggy.edge.local_ca import LocalCertificate, ensure_local_certificate
from pinggy.edge.ssh.hostkeys import ensure_host_keys, known_hosts_lines, load_host_keys
from tests.support.powerdns import KEY, PowerDns
from tests.support.service import PATIENCE, Lines, free_port

DOMAIN = "a.example"
BIN = Path(sys.executable).parent
READ_KEY = "what-the-core-lists-the-zone-with"
OPERATOR_KEY = "the-operators-key-of-this-deployment"


class Daemon:
    """One ``twistd`` process; *ready* is what its log says when it serves."""

    def __init__(self, name: str, folder: Path, words: list[str], ready: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._words = words
        self._ready = ready
        self.process: subprocess.Popen[str] | None = None
        self.lines: Lines | None = None

    def start(self) -> None:
        """Returns when it serves."""
        self.process = subprocess.Popen(
            [str(BIN / "twistd"), "--nodaemon", "--pidfile=", *self._words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._folder,
        )
        self.lines = Lines(self.process)
        self.lines.until(self._ready)

    def stop(self) -> int:
        """At once, also where an edge would let its clients go first."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def ask_to_stop(self) -> None:
        """As systemd does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def until(self, part: str) -> str:
        """The next line of its log that contains *part*."""
        assert self.lines is not None
        return self.lines.until(part)

    def drain(self) -> None:
        """Read what it has logged by now."""
        assert self.lines is not None
        while not self.lines.is_empty():
            self.lines.next()

    def failures(self) -> list[str]:
        self.drain()
        assert self.lines is not None
        return [line for line in self.lines.seen if "Traceback" in line or "Unhandled" in line]


class Deployment:
    """
    *regions* get an edge each, ``127.0.0.2`` and on; *lease* is the core's, in seconds. *cores* are as many as wanted:
    with more than one, ``core_port`` is that of a balancer in front of them. *drains* are the seconds in which edges
    send their clients away, by region. Edges pass visitors on to each other. An edge is named as its region, unless
    *region_of* names another one.
    """

    def __init__(
        self,
        folder: Path,
        regions: tuple[str, ...] = ("us", "eu", "ap"),
        lease: float = 6.0,
        connections_per_address: int = 256,
        zone_interval: float = 60.0,
        cores: int = 1,
        ttl: int = 10,
        drains: dict[str, float] | None = None,
        report_interval: float = 60.0,
        region_of: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._connections_per_address = connections_per_address
        self._zone_interval = zone_interval
        self._report_interval = report_interval
        self._ttl = ttl
        self._drains = drains or {}
        self._region_of = region_of or {}
        self.relay_port = free_port()
        self.core_port = free_port()
        self.core_ports = [self.core_port] if cores == 1 else [free_port() for _ in range(cores)]
        self.public_port = free_port()
        self.servers = [PowerDns(DOMAIN), PowerDns(DOMAIN)]
        self.gate_ports = [free_port(), free_port()]
        self.metrics_ports: dict[str, int] = {}
        self.gates: list[Daemon] = []
        self.edges: dict[str, Daemon] = {}
        self.addresses = {region: f"127.0.0.{number}" for number, region in enumerate(regions, start=2)}
        self.tls: LocalCertificate = ensure_local_certificate(folder / "tls", DOMAIN, datetime.now(UTC))
        self.host_keys = ensure_host_keys(folder / "ssh")
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(
            "".join(
                known_hosts_lines(load_host_keys(self.host_keys), address, self.public_port)
                for address in self.addresses.values()
            )
        )
        self._lease = lease
        self._key_file = folder / "operator.key"
        self._key_file.write_text(OPERATOR_KEY)
        self._key_file.chmod(0o600)
        self._parts = ExitStack()
        self.cores: list[Daemon] = []
        self.database = ""

    # -- from installation to running -------------------------------------------------------------------------------

    def start(self) -> None:
        self._start_postgres()
        for server in self.servers:
            server.start()
            self._parts.callback(server.stop)
        self._init_zone()
        for number, port in enumerate(self.core_ports, start=1):
            self._start_core("core" if number == 1 else f"core{number}", port)
        if self.core_port not in self.core_ports:
            self._start_balancer()
        self._start_gates()
        for region in self.addresses:
            self.edges[region] = self._make_edge(region)
            self.edges[region].start()

    def stop(self) -> None:
        for daemon in self.daemons():
            if daemon.runs:
                daemon.stop()
        self._parts.close()

    def _start_postgres(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.run_postgres", str(self.folder / "postgres")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._parts.callback(process.wait)
        self._parts.callback(process.terminate)
        self.database = Lines(process).until("postgres")

    def _init_zone(self) -> None:
        key_file = self.folder / "powerdns.key"
        key_file.write_text(KEY.reveal())
        servers = [word for server in self.servers for word in ("--server", server.server.url)]
        self.pinggy("zone", "init", DOMAIN, *servers, "--key-file", str(key_file), "--ns", f"ns1.{DOMAIN}=127.0.0.1")

    @property
    def core(self) -> Daemon | None:
        """The first one."""
        return self.cores[0] if self.cores else None

    def _start_balancer(self) -> None:
        ports = [str(port) for port in (self.core_port, *self.core_ports)]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.balancer", *ports],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._parts.callback(process.wait)
        self._parts.callback(process.terminate)
        Lines(process).until("the balancer listens")

    def _start_core(self, name: str, port: int) -> None:
        zone = "".join(
            f'[[core.zone.servers]]\nurl = "https://127.0.0.1:{port}"\ndns = "127.0.0.1:{server.dns_port}"\n'
            f'key = "{READ_KEY}"\nca = "{self.tls.ca}"\n'
            for server, port in zip(self.servers, self.gate_ports, strict=True)
        )
        config = self.folder / f"{name}.toml"
        config.write_text(
            f'[core]\ndomain = "{DOMAIN}"\noperator_key = "{OPERATOR_KEY}"\nlease = {self._lease}\n'
            f"zone_interval = {self._zone_interval}\nreport_interval = {self._report_interval}\n"
            f'grant_key = "{self.folder / "grant.pem"}"\nrelay_ca = "{self.folder / "relay-ca.pem"}"\n'
            f'[core.database]\nurl = "{self.database}"\n'
            f"[core.listen]\nport = {port}\n"
            f"[core.metrics]\n{self._shows(name)}"
            "[core.limits]\nanonymous_tunnels_per_address = 10000\nnew_tunnels_per_minute_per_address = 100000\n"
            f"tunnels_per_account = 10000\n{zone}"
        )
        self.cores.append(Daemon(name, self.folder, ["pinggy-core", "--config", str(config)], "the core listens"))
        self.cores[-1].start()

    def _start_gates(self) -> None:
        grant_key = self.pinggy("zone", "key").stdout.strip().splitlines()[-1].split('"')[-2:][0]
        for number, (server, port) in enumerate(zip(self.servers, self.gate_ports, strict=True), start=1):
            config = self.folder / f"zone{number}.toml"
            config.write_text(
                f'[zone]\ndomain = "{DOMAIN}"\nstate = "{self.folder / f"gate{number}"}"\n'
                f'grant_key = "{grant_key}"\nread_key = "{READ_KEY}"\n'
                f"[zone.listen]\nport = {port}\n"
                f"[zone.metrics]\n{self._shows(f'gate{number}')}"
                f'[zone.certificate]\nfile = "{self.tls.certificate}"\nkey = "{self.tls.key}"\n'
                f'[zone.powerdns]\nurl = "{server.server.url}"\nkey = "{KEY.reveal()}"\n'
            )
            gate = Daemon(f"gate{number}", self.folder, ["pinggy-zone", "--config", str(config)], "listens on https")
            gate.start()
            self.gates.append(gate)

    def _make_edge(self, region: str) -> Daemon:
        address = self.addresses[region]
        where = ("--region", self._region_of.get(region, region), "--address", address)
        added = self.pinggy("edge", "add", region, *where, "--secret-only")
        config = self.folder / f"edge-{region}.toml"
        keys = ", ".join(f'"{each}"' for each in self.host_keys)
        zone = "".join(
            f'[[zone.servers]]\nurl = "https://127.0.0.1:{port}"\ndns = "127.0.0.1:{server.dns_port}"\n'
            f'ca = "{self.tls.ca}"\n'
            for server, port in zip(self.servers, self.gate_ports, strict=True)
        )
        config.write_text(
            f"host_keys = [{keys}]\n"
            f'[core]\nurl = "http://127.0.0.1:{self.core_port}"\nsecret = "{added.stdout.strip()}"\n'
            f'[certificate]\nfile = "{self.tls.certificate}"\nkey = "{self.tls.key}"\n'
            f'[listen]\npublic = ["{address}:{self.public_port}"]\ntcp = "{address}"\n'
            f'[relay]\nlisten = "{address}:{self.relay_port}"\n'
            f"[metrics]\n{self._shows(f'edge-{region}')}"
            f"[clients]\ndrain = {self._drains.get(region, 30.0)}\n"
            f"[visitors]\nconnections_per_address = {self._connections_per_address}\n"
            f"[face]\nhttp_port = {self.public_port}\nhttps_port = {self.public_port}\n"
            f"[zone]\nttl = {self._ttl}\n{zone}"
        )
        return Daemon(f"edge-{region}", self.folder, ["pinggy-edge", "--config", str(config)], "is ready")

    def _shows(self, name: str) -> str:
        self.metrics_ports[name] = free_port()
        return f'listen = "127.0.0.1:{self.metrics_ports[name]}"\n'

    # -- what tests do with it ----------------------------------------------------------------------------------------

    def pinggy(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The operator's command."""
        environment = {
            **os.environ,
            "PINGGY_CORE": f"http://127.0.0.1:{self.core_port}",
            "PINGGY_KEY_FILE": str(self._key_file),
        }
        done = subprocess.run(
            [str(BIN / "pinggy"), *words],
            env=environment,
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def new_token(self, account: str, *names: str) -> str:
        """A token of the new *account*, which has reserved *names*."""
        self.pinggy("account", "add", account)
        for name in names:
            self.pinggy("name", "reserve", account, name)
        return self.pinggy("token", "add", account).stdout.strip()

    def metrics(self, name: str) -> str:
        """What the daemon *name* (``core``, ``gate1``, ``edge-eu``) shows to Prometheus."""
        return subprocess.run(
            ["curl", "-sf", "--max-time", "20", f"http://127.0.0.1:{self.metrics_ports[name]}/metrics"],
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        ).stdout

    def visit(self, region: str, name: str) -> str:
        """What a visitor of *name* gets at the edge of *region*."""
        where = f"{name}.{DOMAIN}:{self.public_port}:{self.addresses[region]}"
        return subprocess.run(
            ["curl", "-s", "--max-time", "20", "--resolve", where, f"http://{name}.{DOMAIN}:{self.public_port}/"],
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        ).stdout

    def ssh_until_live(
        self, region: str, user: str, local_port: int, part: str, named: str | None = None
    ) -> subprocess.Popen[str]:
        """Start ssh, again where it is refused, until it prints *part*: what it needs is just coming back."""
        bound = time.monotonic() + PATIENCE
        while True:
            ssh = self.ssh(region, user, local_port, named=named)
            lines = Lines(ssh)
            while (line := lines.next()) is not None:
                if part in line:
                    return ssh
            assert time.monotonic() < bound, lines.seen

    def ssh(
        self, region: str, user: str, local_port: int, *words: str, named: str | None = None
    ) -> subprocess.Popen[str]:
        """A real ssh to the edge of *region*, which forwards the default, or *named*, to *local_port*."""
        forward = f"0:127.0.0.1:{local_port}" if named is None else f"{named}:1:127.0.0.1:{local_port}"
        return subprocess.Popen(
            [
                *("ssh", "-p", str(self.public_port), "-o", f"UserKnownHostsFile={self.known_hosts}"),
                *("-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-R", forward),
                *(f"{user}@{self.addresses[region]}", *words),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def failures(self) -> list[str]:
        """Tracebacks and lost errors in any daemon's log."""
        return [f"{daemon.name}: {line}" for daemon in self.daemons() for line in daemon.failures()]

    def daemons(self) -> list[Daemon]:
        return [*self.edges.values(), *self.gates, *self.cores]

    def until_gone(self, name: str) -> None:
        """Ask the servers until none has *name*: it is being withdrawn."""
        bound = time.monotonic() + PATIENCE
        while any(self.dig(name)):
            assert time.monotonic() < bound, f"{name} still stands: {self.dig(name)}"

    def differences(self, *names: str, falsify: Callable[[], object]) -> str:
        """
        *falsify* the zone and check it, until all of *names* are found to differ; the table. On a slow machine the core
        may take a server for one that was away, and mend it before the operator looks.
        """
        bound = time.monotonic() + PATIENCE
        while True:
            falsify()
            checked = self.pinggy("zone", "check", check=False)
            if all(name in checked.stdout for name in names):
                assert checked.returncode == 1
                return checked.stdout
            assert time.monotonic() < bound, checked.stdout

    def until_listed(self, name: str) -> None:
        """Ask the core until a tunnel has the grant of *name*."""
        bound = time.monotonic() + PATIENCE
        while f"http {name}" not in self.pinggy("tunnel", "list").stdout:
            assert time.monotonic() < bound, f"{name} was never granted"

    def until_stands(self, name: str, target: str) -> None:
        """Ask the servers until all say *target* of *name*: it is being repaired."""
        bound = time.monotonic() + PATIENCE
        while set(self.dig(name)) != {target}:
            assert time.monotonic() < bound, f"{name} stands as {self.dig(name)}"

    def dig(self, name: str, kind: str = "CNAME") -> list[str]:
        """What each authoritative server says of *name*, one short answer a server, empty for none."""
        assert shutil.which("dig") is not None
        return [
            subprocess.run(
                ["dig", "+short", "+norecurse", "@127.0.0.1", "-p", str(server.dns_port), f"{name}.{DOMAIN}", kind],
                text=True,
                capture_output=True,
                timeout=PATIENCE,
                check=True,
            ).stdout.strip()
            for server in self.servers
        ]

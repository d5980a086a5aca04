"""
A real zone gate before a real PowerDNS, and the core's side of it: what signs.
"""

from __future__ import annotations

import base64
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.powerdns.zone import PowerDnsZone
from pinggy.dns.zone import HostRecord, NameRecord
from pinggy.edge.local_ca import ensure_local_certificate
from pinggy.gate.config import CertificateSettings, GateSettings, ListenSettings, PowerDnsSettings
from pinggy.gate.service import GateService
from pinggy.settings import Secret
from pinggy.wire.proof import Claim, sign
from tests.support.powerdns import KEY, LOOPBACK, PowerDns
from tests.support.service import PATIENCE, free_port

GRANT_KEY = Ed25519PrivateKey.generate()
READ_KEY = Secret("the-read-key-of-the-tests")


class Gate:
    """A gate in this process, with TLS, that listens on a free port and keeps its state in *folder*."""

    def __init__(self, powerdns: PowerDns, folder: Path, **changes: Any) -> None:
        certificate = ensure_local_certificate(folder / "tls", "gate.example", datetime.now(UTC))
        self.settings = gate_settings(
            powerdns,
            folder / "state",
            **{"certificate": CertificateSettings(file=certificate.certificate, key=certificate.key), **changes},
        )
        self._powerdns = powerdns
        self._ca = certificate.ca
        self.service = GateService(reactor, self.settings, self._broken)
        self.service.startService()

    @property
    def server(self) -> PowerDnsServer:
        return PowerDnsServer(
            url=f"https://{LOOPBACK}:{self.service.port}",
            dns=f"{LOOPBACK}:{self._powerdns.dns_port}",
            key=READ_KEY,
            ca=self._ca,
        )

    def stop(self) -> Deferred[None]:
        return self.service.stopService()

    def _broken(self, text: str) -> None:
        raise AssertionError(text)


class Signing:
    """A `Zone` that lets the core sign whatever is written."""

    def __init__(self, zone: PowerDnsZone) -> None:
        self._zone = zone

    def publish(self, records: Sequence[NameRecord]) -> Deferred[None]:
        return self._zone.publish([signed(each) for each in records])

    def withdraw(self, records: Sequence[NameRecord]) -> Deferred[None]:
        return self._zone.withdraw([signed(each) for each in records])


def signed(record: NameRecord, key: Ed25519PrivateKey = GRANT_KEY) -> NameRecord:
    claim = Claim(name=record.name.lower(), epoch=record.epoch, target=record.target)
    return replace(record, proof=sign(claim, key))


def signed_host(record: HostRecord, key: Ed25519PrivateKey = GRANT_KEY) -> HostRecord:
    claim = Claim(name=record.name.lower(), epoch=record.epoch, addresses=record.addresses)
    return replace(record, proof=sign(claim, key))


def gate_settings(powerdns: PowerDns, state: Path, **changes: Any) -> GateSettings:
    return GateSettings(
        **{
            "domain": powerdns.domain,
            "state": state,
            "grant_key": public_text(),
            "read_key": READ_KEY,
            "powerdns": PowerDnsSettings(key=KEY, url=f"http://{LOOPBACK}:{powerdns.api_port}"),
            "listen": ListenSettings(port=0),
            **changes,
        }
    )


class GateProcess:
    """``twistd pinggy-zone`` as an operator runs it, with TLS, on a free port; what it says goes into *folder*."""

    def __init__(self, powerdns: PowerDns, folder: Path, *, profile: Path | None = None) -> None:
        certificate = ensure_local_certificate(folder / "tls", "gate.example", datetime.now(UTC))
        self.port = free_port()
        self.state = folder / "state"
        self.log = folder / "gate.log"
        self._folder = folder
        self._powerdns = powerdns
        self._ca = certificate.ca
        self._profile = profile
        self._process: subprocess.Popen[bytes] | None = None
        self.config = folder / "zone.toml"
        self.config.write_text(
            f'[zone]\ndomain = "{powerdns.domain}"\nstate = "{self.state}"\n'
            f'grant_key = "{public_text()}"\nread_key = "{READ_KEY.reveal()}"\n'
            f'[zone.powerdns]\nkey = "{KEY.reveal()}"\nurl = "http://{LOOPBACK}:{powerdns.api_port}"\n'
            f"[zone.listen]\nport = {self.port}\n"
            f'[zone.certificate]\nfile = "{certificate.certificate}"\nkey = "{certificate.key}"\n'
        )

    @property
    def server(self) -> PowerDnsServer:
        return PowerDnsServer(
            url=f"https://{LOOPBACK}:{self.port}",
            dns=f"{LOOPBACK}:{self._powerdns.dns_port}",
            key=READ_KEY,
            ca=self._ca,
        )

    def start(self) -> None:
        """Returns when it listens."""
        twistd = [str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile="]
        if self._profile is not None:
            twistd += ["--profile", str(self._profile), "--profiler=cprofile", "--savestats"]
        with self.log.open("ab") as log:
            start = log.tell()
            self._process = subprocess.Popen(
                [*twistd, "pinggy-zone", "--config", str(self.config)],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for_line(self._process, self.log, "listens on https", start)

    def cpu_seconds(self) -> float:
        """What it has used of processors so far."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Its exit status."""
        return self._end(signal.SIGTERM) if self._process is not None else 0

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait(PATIENCE)
        self._process = None
        return status


def wait_for_line(process: subprocess.Popen[bytes], log: Path, part: str, start: int) -> None:
    """Returns when *process* has written a line with *part* into *log*, after byte *start*."""
    until = time.monotonic() + PATIENCE
    while part.encode() not in log.read_bytes()[start:]:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the gate does not start:\n{log.read_text()[start:]}")
        select.select([], [], [], 0.02)


def public_text(key: Ed25519PrivateKey = GRANT_KEY) -> str:
    """As `pinggy zone key` prints it."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode("ascii")

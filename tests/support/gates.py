"""
A real zone gate before a real PowerDNS, and the core's side of it: what signs.
"""

from __future__ import annotations

import base64
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
            "grant_key": base64.b64encode(GRANT_KEY.public_key().public_bytes_raw()).decode("ascii"),
            "read_key": READ_KEY,
            "powerdns": PowerDnsSettings(key=KEY, url=f"http://{LOOPBACK}:{powerdns.api_port}"),
            "listen": ListenSettings(port=0),
            **changes,
        }
    )

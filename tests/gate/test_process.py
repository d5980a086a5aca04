"""
``twistd pinggy-zone`` as an operator runs it.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.powerdns.zone import PowerDnsZone
from pinggy.dns.zone import NewerOwner
from tests.dns.zones import DOMAIN, record
from tests.support.gates import GateProcess, signed
from tests.support.powerdns import PowerDns
from tests.support.service import PATIENCE

asynchronous = pytest_twisted.ensureDeferred


@asynchronous
async def test_a_gate_that_is_killed_remembers(powerdns: PowerDns, tmp_path: Path) -> None:
    gate = GateProcess(powerdns, tmp_path)
    gate.start()
    zone = PowerDnsZone(reactor, DOMAIN, [gate.server])
    await zone.publish([signed(record(epoch=2)), signed(record("gone", epoch=2))])
    await zone.withdraw([signed(record("gone", epoch=2))])
    await zone.close()
    gate.kill()
    gate.start()
    zone = PowerDnsZone(reactor, DOMAIN, [gate.server])
    for late in (record(epoch=1), record("gone", epoch=2)):
        with pytest.raises(NewerOwner):
            await zone.publish([signed(late)])
    await zone.confirm(record(epoch=2))
    await zone.close()
    assert gate.stop() == 0


def refused(folder: Path, *words: str) -> str:
    """Start it with *words*; the one line that it ends with."""
    twistd = str(Path(sys.executable).with_name("twistd"))
    done = subprocess.run(
        [twistd, "--nodaemon", "--pidfile=", "--logfile=gate.log", "pinggy-zone", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("pinggy: ").rstrip("\n")


def test_what_keeps_it_from_starting_is_one_line(powerdns: PowerDns, tmp_path: Path) -> None:
    gate = GateProcess(powerdns, tmp_path)
    good = gate.config.read_text()
    assert refused(tmp_path) == "The gate needs its settings: --config FILE, as etc/zone.toml explains."
    assert refused(tmp_path, "--config", "missing").endswith("cannot be read: No such file or directory.")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", gate.port))
        taken.listen()
        line = refused(tmp_path, "--config", str(gate.config))
    assert line == f"The setting zone.listen.port = {gate.port} is of no use, on 127.0.0.1: Address already in use."
    gate.config.write_text(good.replace("cert.pem", "missing.pem"))
    line = refused(tmp_path, "--config", str(gate.config))
    assert line.startswith("The setting zone.certificate is of no use: The certificate ")
    gate.config.write_text(good.replace("grant_key = ", "grant_keys = "))
    assert "The setting zone.grant_keys is unknown" in refused(tmp_path, "--config", str(gate.config))


def test_the_url_of_a_gate_needs_no_key() -> None:
    assert PowerDnsServer(url="https://ns1.example:8443", dns="192.0.2.1:53").gate

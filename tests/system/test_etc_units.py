"""
The systemd units and PowerDNS's configuration of etc/, held to what the programs that read them say.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pinggy.core.config import CoreFile
from pinggy.gate.config import GateFile
from pinggy.settings import load

ETC = Path(__file__).parents[2] / "etc"
UNITS = sorted(ETC.glob("systemd/*.service"), key=lambda unit: unit.stem)
SYSTEMD = shutil.which("systemd-analyze")
PDNS_SERVER = shutil.which("pdns_server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# Tenths, of what systemd-analyze calls exposure: 20 is what a daemon has that needs the network and low ports.
MOST_EXPOSED = 20

with_systemd = pytest.mark.skipif(SYSTEMD is None, reason="systemd is not installed")
by_name = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


def analyzed(*words: str) -> str:
    """What systemd-analyze prints where all is well."""
    assert SYSTEMD is not None
    done = subprocess.run([SYSTEMD, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def settings_of(unit: Path) -> dict[str, str]:
    """The last value of each key."""
    return dict(re.findall(r"(?m)^([A-Za-z]+)=(.*)$", unit.read_text()))


def test_each_daemon_has_a_unit() -> None:
    assert [unit.stem for unit in UNITS] == ["pinggy", "pinggy-core", "pinggy-edge", "pinggy-zone"]


@with_systemd
@by_name
def test_systemd_understands_it(unit: Path, tmp_path: Path) -> None:
    # Where neither the program nor its user is installed, only these are wrong.
    text = unit.read_text().replace("/opt/pinggy/bin/twistd", "/bin/true")
    here = tmp_path / unit.name
    here.write_text(re.sub(r"(?m)^(User|Group|SupplementaryGroups)=.*\n", "", text))
    assert analyzed("verify", "--man=no", str(here)) == ""


@with_systemd
@by_name
def test_it_may_do_no_more_than_it_needs(unit: Path) -> None:
    analyzed("security", "--no-pager", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit))


@by_name
def test_it_starts_its_own_daemon_with_its_own_settings_as_its_own_user(unit: Path) -> None:
    settings = settings_of(unit)
    daemon = unit.stem
    assert settings["ExecStart"] == (
        f"/opt/pinggy/bin/twistd --nodaemon --pidfile= {daemon} "
        f"--config /etc/pinggy/{daemon.removeprefix('pinggy-')}.toml"
    )
    assert (ETC / f"{daemon.removeprefix('pinggy-')}.toml").exists()
    assert settings["User"] == settings["Group"] == settings["StateDirectory"] == daemon
    assert settings["WorkingDirectory"] == f"/var/lib/{daemon}"


def test_low_ports_are_for_those_who_listen_there() -> None:
    able = {unit.stem for unit in UNITS if settings_of(unit)["AmbientCapabilities"] == "CAP_NET_BIND_SERVICE"}
    assert able == {"pinggy", "pinggy-edge"}


def test_state_that_the_files_name_is_where_the_units_may_write() -> None:
    grant_key = re.search(r'(?m)^#: grant_key = "(.*)"$', (ETC / "core.toml").read_text())
    assert grant_key is not None
    assert Path(grant_key[1]).parent == Path("/var/lib/pinggy-core")
    assert load(CoreFile, ETC / "core.toml").core.grant_key is None
    assert load(GateFile, ETC / "zone.toml").zone.state == Path("/var/lib/pinggy-zone")


@pytest.mark.skipif(PDNS_SERVER is None, reason="pdns_server is not installed")
def test_powerdns_understands_its_configuration() -> None:
    assert PDNS_SERVER is not None
    done = subprocess.run(
        [PDNS_SERVER, f"--config-dir={ETC / 'powerdns'}", "--config=check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_powerdns_listens_where_its_gate_speaks_to_it() -> None:
    said = dict(re.findall(r"(?m)^([a-z-]+)=(.*)$", (ETC / "powerdns" / "pdns.conf").read_text()))
    gate = load(GateFile, ETC / "zone.toml").zone
    assert gate.powerdns.url == f"http://{said['webserver-address']}:{said['webserver-port']}"
    assert gate.powerdns.key.reveal() == said["api-key"]

"""
The settings of every program, as an operator would write them for these sites.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.system.regions.namespaces import Site

DOMAIN = "a.example"
READ_KEY = "what-the-core-lists-the-zone-with"
OPERATOR_KEY = "the-operators-key-of-these-regions"
POWERDNS_KEY = "the-api-key-of-these-regions"

# The ports, the same at every site.
PUBLIC, RELAY, CORE, FIRST_CORE, GATE, DNS, API = 7443, 7444, 7070, 7071, 8443, 5300, 8081


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds. *ttl* is the names' own; a resolver may keep one so long."""

    lease: float = 5.0
    zone_interval: float = 5.0
    report_interval: float = 10.0
    silence: float = 6.0
    drain: float = 2.0
    ttl: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate for the domain and all sites, which is its own authority too."""

    file: Path
    key: Path


def make_certificate(folder: Path, sites: Sequence[Site]) -> Certificate:
    made = Certificate(file=folder / "cert.pem", key=folder / "key.pem")
    addresses = {address for site in sites for address in (site.address, site.loopback)}
    names = [f"DNS:{DOMAIN}", f"DNS:*.{DOMAIN}", *(f"IP:{address}" for address in sorted(addresses))]
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", str(made.key), "-out", str(made.file), "-days", "30", "-subj", f"/CN={DOMAIN}"),
            *("-addext", f"subjectAltName={','.join(names)}"),
        ],
        capture_output=True,
        check=True,
    )
    return made


def core_toml(
    folder: Path, number: int, host: str, database: str, zone: str, certificate: Certificate, t: Timing
) -> str:
    return f"""\
[core]
domain = "{DOMAIN}"
operator_key = "{OPERATOR_KEY}"
lease = {t.lease}
zone_interval = {t.zone_interval}
report_interval = {t.report_interval}
relay_ca = "{folder / "relay-ca.pem"}"
grant_key = "{folder / "grant.pem"}"
[core.database]
url = "{database}"
[core.listen]
host = "{host}"
port = {FIRST_CORE + number - 1}
certificate = "{certificate.file}"
key = "{certificate.key}"
[core.limits]
new_tunnels_per_minute_per_address = 100000
tunnels_per_account = 1000
[core.zone]
ttl = {t.ttl}
{zone.replace("[[zone", "[[core.zone")}"""


def edge_toml(
    site: Site, core: str, secret: str, host_keys: Sequence[Path], zone: str, c: Certificate, t: Timing
) -> str:
    return f"""\
host_keys = [{", ".join(f'"{each}"' for each in host_keys)}]
[core]
url = "{core}"
secret = "{secret}"
ca = "{c.file}"
[certificate]
file = "{c.file}"
key = "{c.key}"
[listen]
public = ["{site.address}:{PUBLIC}"]
tcp = "{site.address}"
[face]
http_port = {PUBLIC}
https_port = {PUBLIC}
[clients]
silence = {t.silence}
drain = {t.drain}
[visitors]
connections_per_address = 2000
[relay]
listen = "{site.address}:{RELAY}"
[zone]
ttl = {t.ttl}
{zone}"""


def zone_servers(sites: Sequence[Site], certificate: Certificate, *, read_key: bool) -> str:
    """The tables of the zone's servers, for an edge, or with *read_key* for a core."""
    key = f'key = "{READ_KEY}"\n' if read_key else ""
    return "".join(
        f'[[zone.servers]]\nurl = "https://{site.address}:{GATE}"\ndns = "{site.address}:{DNS}"\n{key}'
        f'ca = "{certificate.file}"\n'
        for site in sites
    )


def gate_toml(folder: Path, site: Site, grant_key: str, certificate: Certificate) -> str:
    return f"""\
[zone]
domain = "{DOMAIN}"
state = "{folder / f"gate-{site.name}"}"
grant_key = "{grant_key}"
read_key = "{READ_KEY}"
[zone.listen]
host = "{site.address}"
port = {GATE}
[zone.certificate]
file = "{certificate.file}"
key = "{certificate.key}"
[zone.powerdns]
url = "http://{site.loopback}:{API}"
key = "{POWERDNS_KEY}"
"""


def pdns_conf(folder: Path, site: Site) -> str:
    drops = "setuid=nobody\nsetgid=nogroup\n" if os.geteuid() == 0 else ""
    return f"""\
launch=lmdb
lmdb-filename={folder}/pdns.lmdb
lmdb-sync-mode=nosync
lmdb-shards=1
local-address={site.address}
local-port={DNS}
api=yes
api-key={POWERDNS_KEY}
webserver=yes
webserver-address={site.loopback}
webserver-port={API}
webserver-allow-from=127.0.0.0/8
webserver-loglevel=none
socket-dir={folder}
write-pid=no
security-poll-suffix=
default-api-rectify=no
default-soa-content=ns1.@ hostmaster.@ 1 3600 600 604800 5
{drops}"""

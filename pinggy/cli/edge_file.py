"""
The settings file of a new edge: values in and TOML out.
"""

from __future__ import annotations

import ipaddress
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pinggy.cli.failure import CommandFailed
from pinggy.cli.tables import clean
from pinggy.settings import Secret, SettingsError, parse

# Relative to where docs/operations.rst puts them.
_TEMPLATE = """\
# The settings of edge {name} in region {region}: /etc/pinggy/edge.toml on its machine.
# It holds a secret: chown root:pinggy-edge, chmod 640. etc/edge.toml of the distribution explains every setting.

# The SSH host keys of the service: the same files on every edge.
host_keys = ["/etc/pinggy/ssh/ssh_host_ed25519_key", "/etc/pinggy/ssh/ssh_host_rsa_key"]

[core]
url = {url}
secret = {secret}
# Where the core's certificate is signed by an authority of your own:
# ca = "/etc/pinggy/tls/core-ca.pem"

[certificate]
# For the domain and *.domain; read again when the files change.
file = "/etc/pinggy/tls/fullchain.pem"
key = "/etc/pinggy/tls/privkey.pem"

[listen]
# What clients and visitors of {addresses} reach.
public = {public}
tcp = {tcp}

[relay]
# Where the other edges pass on visitors who have come to them for a tunnel of this one; at the first address above.
listen = {relay}

# The servers of the zone, the same on every edge: url of a server's gate, dns is where it answers questions.
{servers}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneServer:
    """One server of the zone, as the settings of core and edges spell it."""

    url: str
    dns: str
    gate: bool = True
    key: Secret | None = None
    ca: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _ZoneServers:
    servers: tuple[ZoneServer, ...]


EXAMPLES = (
    ZoneServer(url="https://ns1.a.example.com:8443", dns="192.0.2.1:53"),
    ZoneServer(url="https://ns2.a.example.com:8443", dns="198.51.100.1:53"),
)


def servers_of_core(path: Path) -> tuple[ZoneServer, ...]:
    """The servers that ``core.toml`` at *path* names, one at the least. Raises `CommandFailed`."""
    try:
        with path.open("rb") as file:
            zone = tomllib.load(file).get("core", {}).get("zone", {})
        servers = parse(_ZoneServers, {"servers": zone.get("servers", [])}, "core.zone.").servers
    except OSError as error:
        raise CommandFailed(f"The core's settings {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError):
        raise CommandFailed(f"The file {path} does not hold the core's settings.") from None
    except SettingsError as error:
        raise CommandFailed(f"{path}: {error}") from None
    if not servers:
        raise CommandFailed(f"The core's settings {path} name no servers of the zone: see [[core.zone.servers]].")
    return servers


def edge_file(
    name: str,
    region: str,
    addresses: Sequence[str],
    core_url: str,
    secret: Secret,
    servers: Sequence[ZoneServer],
) -> str:
    """
    The whole ``edge.toml`` of the edge *name*, whose public *addresses* are IP addresses, whose core is at *core_url*
    for it, and which publishes at *servers*.
    """
    # One socket for both families, where there are both: IPv4 comes as mapped addresses, which the edge knows for IPv4.
    six = any(ipaddress.ip_address(each).version == 6 for each in addresses)
    every = "[::]" if six else "0.0.0.0"
    return _TEMPLATE.format(
        name=clean(name),
        region=clean(region),
        addresses=clean(", ".join(addresses)),
        url=_text(core_url),
        secret=_text(secret.reveal()),
        public=f"[{_text(f'{every}:443')}, {_text(f'{every}:80')}]",
        tcp=_text(every.strip("[]")),
        relay=_text(f"{every}:7444"),
        servers="\n".join(_table(each) for each in servers),
    )


def _table(server: ZoneServer) -> str:
    lines = ["[[zone.servers]]", f"url = {_text(server.url)}", f"dns = {_text(server.dns)}"]
    if server.ca is not None:
        lines.append(f"ca = {_text(server.ca)}")
    if not server.gate:
        lines.append("gate = false")
        # Of a gate the core's key reads the whole zone: no edge needs that. PowerDNS itself has but one.
        if server.key is not None:
            lines.append(f"key = {_text(server.key.reveal())}")
    return "\n".join((*lines, ""))


def _text(text: str) -> str:
    """A basic string of TOML, which is one of JSON where nothing in it is a control character."""
    return json.dumps(clean(text), ensure_ascii=False)

"""
The settings file of a new edge: pure, values in and TOML out.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence

from pinggy.cli.tables import clean
from pinggy.settings import Secret

CORE_CA = "/etc/pinggy/tls/core-ca.pem"

# Relative to where docs/operations.rst puts them.
_TEMPLATE = """\
# The settings of edge {name} in region {region}: /etc/pinggy/edge.toml on its machine.
# It holds secrets: chown root:pinggy, chmod 640. etc/edge.toml of the distribution explains every setting.

# The SSH host keys of the service: the same files on every edge.
host_keys = ["/etc/pinggy/ssh/ssh_host_ed25519_key", "/etc/pinggy/ssh/ssh_host_rsa_key"]

[core]
url = {url}
secret = {secret}
# Where the core's certificate is signed by an authority of your own:
# ca = "{ca}"

[certificate]
# For the domain and *.domain; read again when the files change.
file = "/etc/pinggy/tls/fullchain.pem"
key = "/etc/pinggy/tls/privkey.pem"

[listen]
# What clients and visitors of {addresses} reach.
public = {public}
tcp = {tcp}

# The servers of the zone, one table for each, the same on every edge. CHANGE ME: url is that of the server's gate, key
# the "key" of its zone.toml, dns where the server answers questions.
[[zone.servers]]
url = "https://ns1.a.example.com:8443"
key = "change me: the key in zone.toml of ns1"
dns = "192.0.2.1:53"

[[zone.servers]]
url = "https://ns2.a.example.com:8443"
key = "change me: the key in zone.toml of ns2"
dns = "198.51.100.1:53"
"""


def edge_file(name: str, region: str, addresses: Sequence[str], core_url: str, secret: Secret) -> str:
    """
    The whole ``edge.toml`` of the edge *name*, whose public *addresses* are IP addresses, and whose core is at
    *core_url* for it. It can be read as it is; the servers of the zone in it are examples.
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
        ca=CORE_CA,
        public=f"[{_text(f'{every}:443')}, {_text(f'{every}:80')}]",
        tcp=_text(every.strip("[]")),
    )


def _text(text: str) -> str:
    """A basic string of TOML, which is one of JSON where nothing in it is a control character."""
    return json.dumps(clean(text), ensure_ascii=False)

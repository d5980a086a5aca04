"""
Caching resolvers as visitors' providers have them: real unbound, which asks the zone's servers and keeps what they say.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = shutil.which("unbound", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """*least* is the seconds for which it keeps an answer at the least: above 0 it overstays short TTLs."""

    name: str
    port: int
    least: int = 0


OVERSTAYS = "overstays"
# Two go by the TTL; the third is of the kind that thinks it knows better.
RESOLVERS = (
    Resolver(name="honest", port=5401),
    Resolver(name="other", port=5402),
    Resolver(name=OVERSTAYS, port=5403, least=90),
)


def command(config: Path) -> tuple[str, ...]:
    assert _PROGRAM is not None, "unbound is not installed: see tests/support/install-programs"
    return (_PROGRAM, "-d", "-p", "-c", str(config))


READY = "start of service"


def unbound_conf(resolver: Resolver, address: str, domain: str, servers: Sequence[tuple[str, int]]) -> str:
    """*servers* have the zone *domain*; there is no other zone, and no root."""
    stubs = "".join(f"  stub-addr: {host}@{port}\n" for host, port in servers)
    return f"""\
server:
  interface: {address}@{resolver.port}
  access-control: 0.0.0.0/0 allow
  do-daemonize: no
  use-syslog: no
  log-servfail: no
  verbosity: 1
  num-threads: 1
  chroot: ""
  username: ""
  directory: ""
  pidfile: ""
  module-config: "iterator"
  do-not-query-localhost: no
  do-ip6: no
  cache-min-ttl: {resolver.least}
  # A server that was cut off is tried again soon, as big resolvers do from their many addresses.
  infra-host-ttl: 5
remote-control:
  control-enable: no
stub-zone:
  name: "{domain}"
{stubs}"""

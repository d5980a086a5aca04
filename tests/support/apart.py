"""
The parts of ``twistd pinggy`` as processes of their own, so that one can go while the others stay.

Run as ``python -m tests.support.apart PART JSON``: it prints "ready" and what else there is to know, and ends well
when it is asked to stop.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.logger import globalLogBeginner, textFileLogObserver

from pinggy.core.config import CoreSettings, DatabaseSettings, ListenSettings, PortSettings
from pinggy.core.managed_postgres import ManagedPostgres
from pinggy.core.service import make_core
from pinggy.dns.embedded import EmbeddedDns
from pinggy.dns.embedded_zone import EmbeddedZone
from pinggy.dns.probe import DnsProbe
from pinggy.dns.rrsets import address_records, parse_record
from pinggy.edge.config import Certificate, CoreLink, EdgeSettings, Face, Listen
from pinggy.edge.http_core_client import HttpCoreClient
from pinggy.edge.local_ca import ensure_local_certificate
from pinggy.edge.service import make_edge
from pinggy.edge.ssh.hostkeys import ensure_host_keys
from pinggy.settings import Secret

HOST, DOMAIN = "127.0.0.1", "a.localhost"


async def postgres(reactor: Any, given: dict[str, Any]) -> str:
    """*folder* and *port*; says its URL."""
    server = ManagedPostgres(reactor, Path(given["folder"]), port=given["port"])
    reactor.addSystemEventTrigger("before", "shutdown", server.stop)
    return (await server.start()).reveal()


async def core(reactor: Any, given: dict[str, Any]) -> str:
    """*database*, *port*, *lease*, the secrets *operator* and *edge*, and the file *grant_key*."""
    service = make_core(
        reactor,
        CoreSettings(
            domain=DOMAIN,
            operator_key=Secret(given["operator"]),
            database=DatabaseSettings(url=Secret(given["database"]), patience=1.0),
            listen=ListenSettings(host=HOST, port=given["port"]),
            lease=given["lease"],
            grant_key=Path(given["grant_key"]),
            ports=PortSettings(first=28000, last=28099),
        ),
    )
    _run(reactor, service)
    await service.ready()
    await service.operator.ensure_edge("local", "local", [HOST], Secret(given["edge"]))
    return ""


async def edge(reactor: Any, given: dict[str, Any]) -> str:
    """*folder*, the core's *core* and *edge* secret, and the ports *https*, *http* and *dns*."""
    folder = Path(given["folder"])
    zone = EmbeddedZone(DOMAIN, [parse_record("@ NS ns1", DOMAIN), *address_records("local", [HOST], DOMAIN)])
    dns = EmbeddedDns(reactor, HOST, given["dns"], zone)
    dns.listen()
    reactor.addSystemEventTrigger("before", "shutdown", dns.stop)
    made = ensure_local_certificate(folder / "tls", DOMAIN, datetime.now(UTC))
    client = HttpCoreClient(reactor, given["core"], Secret(given["edge"]))
    service = make_edge(
        reactor,
        EdgeSettings(
            core=CoreLink(url=given["core"], secret=Secret(given["edge"])),
            host_keys=ensure_host_keys(folder / "ssh"),
            certificate=Certificate(file=made.certificate, key=made.key),
            listen=Listen(public=(f"{HOST}:{given['https']}", f"{HOST}:{given['http']}"), tcp=HOST),
            face=Face(http_port=given["http"], https_port=given["https"]),
        ),
        client,
        lambda _: (zone, DnsProbe(reactor, [(HOST, given["dns"])])),
    )
    _run(reactor, service)
    await service.ready()
    return ""


def _run(reactor: Any, service: Service) -> None:
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)


async def main(reactor: Any, part: str, given: str) -> None:
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    said = await {"postgres": postgres, "core": core, "edge": edge}[part](reactor, json.loads(given))
    print("ready", said, flush=True)  # noqa: T201
    # Until it is asked to stop.
    await Deferred()


if __name__ == "__main__":
    task.react(lambda reactor, *words: Deferred.fromCoroutine(main(reactor, *words)), sys.argv[1:])

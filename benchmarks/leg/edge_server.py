"""
Our edge by itself: the real one, with a core and a zone in its process that say yes at once.

    python -m benchmarks.leg.edge_server FOLDER      prints its port

At each SIGUSR2 it prints how many milliseconds of CPU one read or write of its reactor has taken at most since the last
one, with all that followed from it within that turn; it is timed from the first one on. CPU and not the clock: others
use the machine too.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet import reactor, task
from twisted.internet.defer import Deferred

from benchmarks.leg.quick_core import QuickCore, QuickZone
from pinggy.daemon import spare_what_stays
from pinggy.edge.config import Certificate, CoreLink, EdgeSettings, Face, Listen, Visitors
from pinggy.edge.local_ca import ensure_local_certificate
from pinggy.edge.service import make_edge
from pinggy.edge.ssh.hostkeys import ensure_host_keys
from pinggy.settings import Secret
from tests.support.service import free_port

MOST = 100_000
DOMAIN = "a.example"


class Turns:
    """Times what the *reactor* does for one socket at a time."""

    def __init__(self, reactor: Any) -> None:
        self._longest = 0.0
        self._do = reactor._doReadOrWrite
        self._reactor = reactor
        signal.signal(signal.SIGUSR2, self._say)

    def _timed(self, *what: object) -> None:
        began = time.thread_time()
        self._do(*what)
        self._longest = max(self._longest, time.thread_time() - began)

    def _say(self, *_: object) -> None:
        # The one place that all reads and writes pass. To ask for the time costs some: only who asks shall pay.
        self._reactor._doReadOrWrite = self._timed
        longest, self._longest = self._longest, 0.0
        sys.stdout.write(f"{longest * 1000:.3f}\n")
        sys.stdout.flush()


async def serve(reactor: Any, folder: str) -> None:
    home = Path(folder) / "edge"
    port = free_port()
    zone = QuickZone()
    first = 2000 + os.getpid() % 2000
    made = ensure_local_certificate(home / "tls", DOMAIN, datetime.now(UTC))
    edge = make_edge(
        reactor,
        EdgeSettings(
            core=CoreLink(url="http://127.0.0.1:1", secret=Secret("none")),
            host_keys=ensure_host_keys(home / "ssh"),
            certificate=Certificate(file=made.certificate, key=made.key),
            listen=Listen(public=(f"127.0.0.1:{port}",), tcp="127.0.0.1"),
            face=Face(http_port=port, https_port=port),
            visitors=Visitors(connections_per_address=MOST),
        ),
        QuickCore(range(first, first + 6000)),
        lambda _: (zone, zone),
    )
    Turns(reactor)
    # As twistd's daemons do.
    spare_what_stays(reactor)
    edge.startService()
    await edge.ready()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await Deferred()


if __name__ == "__main__":
    task.react(lambda _, folder: Deferred.fromCoroutine(serve(reactor, folder)), sys.argv[1:])

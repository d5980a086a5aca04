"""
What it costs one core to keep the leases of many tunnels: CPU of the core and of PostgreSQL.

Starts PostgreSQL and one core as processes. Some edges, in this process, hold all the tunnels together; each renews
all of its own every third of a lease of 30 s, as an edge does.

    python -m benchmarks.renewals [--tunnels 10000] [--edges 5] [--seconds 60]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.task import LoopingCall, deferLater

from pinggy.edge.http_core_client import HttpCoreClient
from pinggy.settings import Secret
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Authorize, Live, Nobody, Register, Renew, Usage, Want
from tests.support.deployment import Deployment

LEASE = 30.0
AT_ONCE = 16
INSTANCE = "bench"


def spent(process: int) -> float:
    """CPU seconds of *process* and its children, living and reaped."""
    ticks = os.sysconf("SC_CLK_TCK")
    whole = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(entry.parent.name) == process:
            whole += sum(map(int, fields[11:15]))
        elif int(fields[1]) == process:
            whole += sum(map(int, fields[11:13]))
    return whole / ticks


class Edge:
    """One edge without clients: *tunnels* are ids."""

    def __init__(self, core: HttpCoreClient) -> None:
        self._core = core
        self.tunnels: list[str] = []

    async def open(self, count: int) -> None:
        await self._core.register(Register(instance=INSTANCE))
        places = DeferredSemaphore(AT_ONCE)
        await gatherResults([places.run(lambda: Deferred.fromCoroutine(self._tunnel())) for _ in range(count)])

    async def _tunnel(self) -> None:
        tunnel = uuid.uuid4().hex
        want = Want(number=1, kind=Kind.HTTP)
        await self._core.authorize(Authorize(tunnel=tunnel, credential=Nobody(), address="192.0.2.1", wants=(want,)))
        await self._core.live(Live(tunnel=tunnel, numbers=(1,)))
        self.tunnels.append(tunnel)

    async def renew(self) -> None:
        usages = tuple(Usage(tunnel=each, received=1, sent=1, visitors=1) for each in self.tunnels)
        renewed = await self._core.renew(Renew(instance=INSTANCE, tunnels=usages))
        assert renewed.lost == (), f"{len(renewed.lost)} tunnels were lost: {renewed.lost[:1]}"


async def measure(reactor: Any, deployment: Deployment, arguments: argparse.Namespace) -> None:
    core = deployment.core
    assert core is not None
    assert core.process is not None
    postmaster = int((deployment.folder / "postgres/cluster/postmaster.pid").read_text().split()[0])
    edges = []
    for number in range(arguments.edges):
        place = ("--region", "eu", "--address", "192.0.2.1")
        added = deployment.pinggy("edge", "add", f"e{number}", *place, "--secret-only")
        client = HttpCoreClient(reactor, f"http://127.0.0.1:{deployment.core_port}", Secret(added.stdout.strip()))
        edges.append((client, Edge(client)))
    started = time.perf_counter()

    def renew_all() -> Deferred[Any]:
        return gatherResults([Deferred.fromCoroutine(edge.renew()) for _, edge in edges if edge.tunnels])

    renewing = LoopingCall(renew_all)
    renewing.start(LEASE / 3)
    for _, edge in edges:
        await edge.open(arguments.tunnels // arguments.edges)
    renewing.stop()
    print(f"{arguments.tunnels} tunnels were authorized and live in {time.perf_counter() - started:.0f} s")
    before, database = spent(core.process.pid), spent(postmaster)
    began = time.perf_counter()
    took = []
    while time.perf_counter() - began < arguments.seconds:
        round_began = time.perf_counter()
        for _, edge in edges:
            asked = time.perf_counter()
            await edge.renew()
            took.append(time.perf_counter() - asked)
            await deferLater(reactor, LEASE / 3 / len(edges) - (time.perf_counter() - asked))
        assert time.perf_counter() - round_began < LEASE
    whole = time.perf_counter() - began
    took.sort()
    print(
        f"each renewed every {LEASE / 3:g} s, for {whole:.0f} s, in messages of {arguments.tunnels // arguments.edges}:"
    )
    print(f"  CPU of the core         {(spent(core.process.pid) - before) / whole * 100:6.2f} %")
    print(f"  CPU of PostgreSQL       {(spent(postmaster) - database) / whole * 100:6.2f} %")
    print(f"  one message and answer  p50 {took[len(took) // 2] * 1000:.0f} ms, most {took[-1] * 1000:.0f} ms")
    for client, _ in edges:
        await client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tunnels", type=int, default=10_000)
    parser.add_argument("--edges", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(Path(folder), regions=(), lease=LEASE)
        try:
            deployment.start()
            task.react(lambda reactor: Deferred.fromCoroutine(measure(reactor, deployment, arguments)))
        finally:
            deployment.stop()


if __name__ == "__main__":
    main()

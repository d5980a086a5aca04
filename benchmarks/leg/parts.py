"""
What is measured, part by part: each server in turn, round by round.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from pathlib import Path

import asyncssh
from asyncssh.misc import ChannelListenError

from benchmarks.leg import crowd, loads
from benchmarks.leg.report import Report
from benchmarks.leg.servers import Conch, Edge, Server, Sshd, tunnel

GCM = "aes128-gcm@openssh.com"
COMES = "as ssh comes"
FAILURES = (
    loads.Failed,
    AssertionError,
    OSError,
    queue.Empty,
    asyncio.TimeoutError,
    asyncssh.Error,
    ChannelListenError,
)


class Run:
    def __init__(self, folder: Path, servers: list[Server], rounds: int, seconds: float, counts: list[int]) -> None:
        self.folder = folder
        self.servers = servers
        self.rounds = rounds
        self.seconds = seconds
        self.counts = counts
        self.report = Report()

    def _each(self, what: str, measure: Callable[[Server], None], rounds: int | None = None) -> None:
        """A server that cannot do *what* is in the table with the reason."""
        for _ in range(self.rounds if rounds is None else rounds):
            for server in self.servers:
                try:
                    measure(server)
                except FAILURES as error:
                    self.report.fail(what, server.name, str(error) or type(error).__name__)

    def throughput(self) -> None:
        for cipher, named in ((None, COMES), (GCM, GCM)):
            for streams in (1, 8):
                for way in ("to the client", "from the client"):
                    self._throughput(cipher, named, streams, way)

    def _throughput(self, cipher: str | None, named: str, streams: int, way: str) -> None:
        what = f"throughput {way}, {streams} stream{'s' if streams > 1 else ''}, {named}"

        def measure(server: Server) -> None:
            if cipher and isinstance(server, Conch):
                return  # it has no such cipher
            with loads.iperf() as local, tunnel(server, self.folder, local, cipher=cipher) as port:
                flow = loads.flow(
                    server.pid, port, streams=streams, from_client=way == "from the client", seconds=self.seconds
                )
            self.report.add(what, server.name, flow.rate, "MB/s")
            if streams == 1:
                self.report.add(f"CPU of the server {way}, {named}", server.name, flow.cpu, "s/GB", less=True)

        self._each(what, measure)

    def requests(self) -> None:
        for keep_alive, named in ((True, "keep-alive"), (False, "one per connection")):
            self._requests(keep_alive, named)

    def _requests(self, keep_alive: bool, named: str) -> None:
        what = f"HTTP requests through a raw tunnel, {named}, 32 at once"

        def measure(server: Server) -> None:
            with loads.nginx(self.folder) as local, tunnel(server, self.folder, local) as port:
                got = loads.answers(port, keep_alive=keep_alive, seconds=self.seconds)
            self.report.add(what, server.name, got.rate, "/s")
            self.report.add(f"latency p50, {named}", server.name, got.p50, "ms", less=True)
            self.report.add(f"latency p99, {named}", server.name, got.p99, "ms", less=True)

        self._each(what, measure)

    def distance(self) -> None:
        for way in ("to the client", "from the client"):
            self._distance(way)

    def _distance(self, way: str) -> None:
        what = f"throughput {way}, 50 ms of round trip added"

        def measure(server: Server) -> None:
            with (
                loads.iperf() as local,
                loads.delayed(server.port, 0.025) as far,
                tunnel(server, self.folder, local, port=far) as port,
            ):
                flow = loads.flow(
                    server.pid, port, streams=1, from_client=way == "from the client", seconds=self.seconds * 2
                )
            self.report.add(what, server.name, flow.rate, "MB/s")

        self._each(what, measure)

    def setup(self) -> None:
        what = "tunnels set up and torn down, 16 at once"

        def churn(server: Server) -> None:
            churned = crowd.churn(server, self.folder, seconds=self.seconds * 2)
            self.report.add(what, server.name, churned.rate, "/s")
            self.report.add("CPU of the server for each of them", server.name, churned.cpu, "ms", less=True)

        def to_url(server: Server) -> None:
            took = crowd.to_url(server, self.folder) * 1000
            self.report.add("from ssh to its URL or port", server.name, took, "ms", less=True)

        self._each(what, churn)
        self._each("from ssh to its URL or port", to_url, rounds=self.rounds * 3)

    def memory(self) -> None:
        for count in self.counts:
            self._memory(count)

    def _memory(self, count: int) -> None:
        what = f"memory per idle tunnel, {count} of them"

        def measure(server: Server) -> None:
            _renew(server)
            # Of two processes for each there cannot be so many here; each costs the same.
            used = crowd.idle(server, self.folder, min(count, 200) if isinstance(server, Sshd) else count)
            self.report.add(what, server.name, used.server, "KB", less=True)
            if used.database:
                self.report.add(f"{what}: PostgreSQL's", server.name, used.database, "KB", less=True)

        self._each(what, measure, rounds=1)

    def stalled(self) -> None:
        what = "memory of 100 visitors who stop in 100 MB"

        def measure(server: Server) -> None:
            if isinstance(server, Conch):
                raise loads.Failed("it keeps in memory whatever they do not read, 10 GB; left out")
            _renew(server)
            with (
                loads.source() as local,
                loads.iperf() as other,
                tunnel(server, self.folder, local) as port,
                tunnel(server, self.folder, other) as open_port,
            ):
                alone = loads.flow(server.pid, open_port, streams=1, from_client=True, seconds=self.seconds)
                grown, held = loads.stalled(server.pid, port, 100)
                self.report.add(what, server.name, grown, "MB", less=True)
                beside = loads.flow(server.pid, open_port, streams=1, from_client=True, seconds=self.seconds)
                for connection in held:
                    connection.close()
            self.report.add("throughput of another tunnel before", server.name, alone.rate, "MB/s")
            self.report.add("throughput of another tunnel beside them", server.name, beside.rate, "MB/s")

        self._each(what, measure)

    def turns(self) -> None:
        what = "longest turn of the reactor, 8 streams"

        def measure(server: Server) -> None:
            if not isinstance(server, Edge):
                return
            for way in ("to the client", "from the client"):
                with loads.iperf() as local, tunnel(server, self.folder, local) as port:
                    server.longest_turn()
                    loads.flow(server.pid, port, streams=8, from_client=way == "from the client", seconds=self.seconds)
                    self.report.add(f"{what} {way}", server.name, server.longest_turn(), "ms", less=True)

        self._each(what, measure)


def _renew(server: Server) -> None:
    """Memory that others have left would be used again."""
    server.stop()
    server.start()


PARTS = ("throughput", "requests", "distance", "setup", "memory", "stalled", "turns")

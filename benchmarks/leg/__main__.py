"""
Runs the comparison: ``python -m benchmarks.leg``; see the package's docstring.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.leg import crowd, loads
from benchmarks.leg.report import Report
from benchmarks.leg.servers import Asyncssh, Conch, Ours, Server, Sshd, make_keys, tunnel

GCM = "aes128-gcm@openssh.com"
PROGRAMS = {"iperf3": "iperf3", "wrk": "wrk", "nginx": "nginx-light", "ssh": "openssh-client", "sshd": "openssh-server"}


class Run:
    def __init__(self, folder: Path, servers: list[Server], rounds: int, seconds: float) -> None:
        self.folder = folder
        self.servers = servers
        self.rounds = rounds
        self.seconds = seconds
        self.report = Report()

    def each(self, measure: Callable[[Server], None]) -> None:
        """*measure* every server in turn, round by round."""
        for _ in range(self.rounds):
            for server in self.servers:
                measure(server)

    def throughput(self) -> None:
        for cipher, named in ((None, "as ssh comes"), (GCM, GCM)):
            for streams in (1, 8):
                for from_client in (False, True):
                    way = "from the client" if from_client else "to the client"
                    self.each(lambda server: self._flow(server, cipher, named, streams, from_client, way))  # noqa: B023

    def _flow(self, server: Server, cipher: str | None, named: str, streams: int, from_client: bool, way: str) -> None:
        if cipher and isinstance(server, Conch):
            return  # it has no such cipher
        with loads.iperf() as local, tunnel(server, self.folder, local, cipher=cipher) as port:
            flow = loads.flow(server.pid, port, streams=streams, from_client=from_client, seconds=self.seconds)
        what = f"throughput {way}, {streams} stream{'s' if streams > 1 else ''}, {named}"
        self.report.add(what, server.name, flow.rate, "MB/s")
        if streams == 1:
            self.report.add(f"CPU of the server {way}, {named}", server.name, flow.cpu, "s/GB", less=True)

    def requests(self) -> None:
        for keep_alive, named in ((True, "keep-alive"), (False, "one per connection")):
            self.each(lambda server: self._answers(server, keep_alive, named))  # noqa: B023

    def _answers(self, server: Server, keep_alive: bool, named: str) -> None:
        with loads.nginx(self.folder) as local, tunnel(server, self.folder, local) as port:
            got = loads.answers(port, keep_alive=keep_alive, seconds=self.seconds)
        self.report.add(f"HTTP requests through a raw tunnel, {named}, 32 at once", server.name, got.rate, "/s")
        self.report.add(f"latency p50, {named}", server.name, got.p50, "ms", less=True)
        self.report.add(f"latency p99, {named}", server.name, got.p99, "ms", less=True)

    def distance(self) -> None:
        for from_client in (False, True):
            self.each(lambda server: self._far(server, from_client))  # noqa: B023

    def _far(self, server: Server, from_client: bool) -> None:
        way = "from the client" if from_client else "to the client"
        with (
            loads.iperf() as local,
            loads.delayed(server.port, 0.025) as far,
            tunnel(server, self.folder, local, port=far) as port,
        ):
            flow = loads.flow(server.pid, port, streams=1, from_client=from_client, seconds=self.seconds * 2)
        self.report.add(f"throughput {way}, 50 ms of round trip added", server.name, flow.rate, "MB/s")

    def setup(self) -> None:
        self.each(
            lambda server: self.report.add(
                "tunnels set up and torn down, 16 at once",
                server.name,
                crowd.churn(server, self.folder, seconds=self.seconds * 2),
                "/s",
            )
        )
        for _ in range(5):
            self.each(
                lambda server: self.report.add(
                    "from ssh to its URL or port",
                    server.name,
                    crowd.to_url(server, self.folder) * 1000,
                    "ms",
                    less=True,
                )
            )

    def memory(self) -> None:
        for count in (1000, 5000):
            for server in self.servers:
                if isinstance(server, Sshd):
                    if count == 1000:
                        used = crowd.idle(server, self.folder, 200)
                        self.report.add("memory per idle tunnel, 200 of them", server.name, used, "KB", less=True)
                    continue
                used = crowd.idle(server, self.folder, count)
                self.report.add(f"memory per idle tunnel, {count} of them", server.name, used, "KB", less=True)

    def stalled(self) -> None:
        for server in self.servers:
            with (
                loads.source() as local,
                loads.iperf() as other,
                tunnel(server, self.folder, local) as port,
                tunnel(server, self.folder, other) as open_port,
            ):
                grown, held = loads.stalled(server.pid, port, 100)
                self.report.add("memory of 100 visitors who stop in 100 MB", server.name, grown, "MB", less=True)
                flow = loads.flow(server.pid, open_port, streams=1, from_client=True, seconds=self.seconds)
                self.report.add("throughput of another tunnel meanwhile", server.name, flow.rate, "MB/s")
                for connection in held:
                    connection.close()


PARTS = ("throughput", "requests", "distance", "setup", "memory", "stalled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--servers", default="sshd,conch,asyncssh,pinggy")
    parser.add_argument("--out", type=Path, default=Path("var/bench"))
    arguments = parser.parse_args()
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None]
    if missing:
        sys.exit(f"The comparison needs programs that are not here. On Debian: apt-get install {' '.join(missing)}")
    crowd.raise_limits()
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name)
        make_keys(folder)
        known: dict[str, Callable[[Path], Server]] = {
            "sshd": Sshd,
            "conch": Conch,
            "asyncssh": Asyncssh,
            "pinggy": Ours,
        }
        servers: list[Server] = [known[each](folder) for each in arguments.servers.split(",")]
        for server in servers:
            server.start()
            running.callback(server.stop)
        run = Run(folder, servers, arguments.rounds, arguments.seconds)
        for part in arguments.only.split(","):
            getattr(run, part)()
            sys.stderr.write(f"{part} measured\n")
        print(run.report.table())
        run.report.write(arguments.out)


if __name__ == "__main__":
    main()

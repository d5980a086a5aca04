"""
What is measured, part by part: each way in turn, round by round.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from benchmarks.leg import loads
from benchmarks.leg.parts import FAILURES
from benchmarks.leg.report import Report
from benchmarks.leg.servers import ROOT, Edge, Server
from benchmarks.web import crowd, goals
from benchmarks.web.bodies import download, make_body, serving, upload
from benchmarks.web.handshakes import shaken
from benchmarks.web.requests import Served, by_h2load, by_wrk
from benchmarks.web.steady import steady
from benchmarks.web.ways import H2, HTTP, HTTPS, OURS, RAW, SSHD, STRAIGHT, Way, opened, ways

MEGABYTES = 400  # of one body
WEBSOCKETS = 1000
BROKEN = (*FAILURES, EOFError, ValueError, asyncio.IncompleteReadError, subprocess.TimeoutExpired)


class Run:
    def __init__(self, folder: Path, servers: dict[str, Server], rounds: int, seconds: float) -> None:
        self.folder = folder
        self.ca = folder / "edge" / "tls" / "ca.pem"
        self.servers = servers
        self.ways = ways(servers)
        self.rounds = rounds
        self.seconds = seconds
        self.report = Report("web", ours=(H2, HTTP, HTTPS))

    def _each(self, what: str, names: tuple[str, ...], measure: Callable[[Way], None], rounds: int = 0) -> None:
        """A way by which *what* cannot be done is in the table with the reason."""
        for _ in range(rounds or self.rounds):
            for way in (self.ways[name] for name in names if name in self.ways):
                try:
                    measure(way)
                except BROKEN as error:
                    self.report.fail(what, way.name, str(error) or type(error).__name__)

    def requests(self) -> None:
        for keep_alive, named in ((True, goals.KEEP_ALIVE), (False, goals.CLOSE)):
            self._requests(keep_alive, named)

    def _requests(self, keep_alive: bool, what: str) -> None:
        short = "keep-alive" if keep_alive else "one per connection"

        def measure(way: Way) -> None:
            with loads.nginx(self.folder) as local, opened(way, self.folder, local) as door:
                got = by_wrk(door, keep_alive=keep_alive, seconds=self.seconds)
            self._served(way, what, short, got)

        self._each(what, (SSHD, RAW, HTTP, OURS), measure)

    def _served(self, way: Way, what: str, short: str, got: Served) -> None:
        self.report.add(what, way.name, got.answers.rate, "/s")
        self.report.add(f"latency p50, {short}", way.name, got.answers.p50, "ms", less=True)
        self.report.add(f"latency p99, {short}", way.name, got.answers.p99, "ms", less=True)
        self.report.add(f"CPU of the server for a request, {short}", way.name, got.cpu, "us", less=True)

    def h2(self) -> None:
        def measure(way: Way) -> None:
            protocol, connections, streams = ("h2", 1, 32) if way.name == H2 else ("http/1.1", 32, 1)
            with loads.nginx(self.folder) as local, opened(way, self.folder, local) as door:
                got = by_h2load(
                    door,
                    self.folder / "h2load.log",
                    protocol=protocol,
                    connections=connections,
                    streams=streams,
                    seconds=self.seconds,
                )
            self._served(way, goals.MANY, "https", got)

        self._each(goals.MANY, (HTTPS, H2), measure)

    def bodies(self) -> None:
        body = make_body(self.folder, MEGABYTES)

        def down(way: Way) -> None:
            with serving(self.folder, body) as local, opened(way, self.folder, local) as door:
                self._carried(way, goals.DOWNLOAD, download(door, self.ca, body.stat().st_size))

        def up(way: Way) -> None:
            with _local_server("local_server") as local, opened(way, self.folder, local) as door:
                self._carried(way, goals.UPLOAD, upload(door, self.ca, body))

        names = (STRAIGHT, SSHD, RAW, HTTP, HTTPS)
        self._each(goals.DOWNLOAD, names, down)
        self._each(goals.UPLOAD, names, up)
        body.unlink()

    def _carried(self, way: Way, what: str, flow: loads.Flow) -> None:
        self.report.add(what, way.name, flow.rate, "MB/s")
        if way.server is not None:
            self.report.add(f"CPU of the server for {what}", way.name, flow.cpu, "s/GB", less=True)

    def handshakes(self) -> None:
        edge = self.servers.get("edge")
        if not isinstance(edge, Edge):
            return
        tls = f"ssl_certificate {edge.tls}/cert.pem; ssl_certificate_key {edge.tls}/key.pem;"
        also = f"{tls} ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;"

        with (
            loads.running_nginx(self.folder, listen="ssl", also=also) as nginx,
            opened(self.ways[HTTPS], self.folder, nginx.port) as door,
        ):
            assert door.pid is not None
            visited = {goals.NGINX: (nginx.pid, nginx.port), HTTPS: (door.pid, door.port)}
            for what, resumed in ((goals.FULL, False), (goals.RESUMED, True)):
                for _ in range(self.rounds):
                    for name, (pid, port) in visited.items():
                        try:
                            got = shaken(pid, port, door.host, resumed=resumed, seconds=self.seconds)
                        except BROKEN as error:
                            self.report.fail(what, name, str(error))
                        else:
                            self.report.add(what, name, got.rate, "/s")
                            self.report.add(f"CPU of the server, {what}", name, got.cpu, "us", less=True)

    def latency(self) -> None:
        names = [name for name in (STRAIGHT, SSHD, RAW, HTTP, HTTPS, OURS) if name in self.ways]
        for _ in range(self.rounds):
            with ExitStack() as stack:
                local = stack.enter_context(loads.nginx(self.folder))
                try:
                    doors = [stack.enter_context(opened(self.ways[name], self.folder, local)) for name in names]
                    found = steady(doors, self.ca, rate=100, seconds=self.seconds * 2)
                except BROKEN as error:
                    self.report.fail(goals.ADDED, "one of the ways", str(error) or type(error).__name__)
                    continue
            for name, took in zip(names, found, strict=True):
                self.report.add("latency p50, 100 requests/s", name, took.p50, "ms", less=True)
                self.report.add("latency p99, 100 requests/s", name, took.p99, "ms", less=True)
                if name != STRAIGHT:
                    self.report.add(goals.ADDED, name, took.p99 - found[0].p99, "ms", less=True)

    def websockets(self) -> None:
        def measure(way: Way) -> None:
            assert way.server is not None
            # Memory that others have left would be used again.
            way.server.stop()
            way.server.start()
            # Some stand besides those that are counted, and a tunnel has a thousand places.
            count = WEBSOCKETS - crowd.FEW if way.name == OURS else WEBSOCKETS
            with _local_server("local_server") as local, opened(way, self.folder, local) as door:
                self.report.add(goals.SOCKETS, way.name, crowd.sockets(door, self.ca, count), "KB", less=True)

        self._each(goals.SOCKETS, (SSHD, RAW, HTTP, HTTPS, OURS), measure, rounds=1)

    def events(self) -> None:
        def measure(way: Way) -> None:
            with _local_server("local_server") as local, opened(way, self.folder, local) as door:
                first, later = crowd.events(door, self.ca, streams=20, each=6)
            self.report.add(goals.FIRST_BYTE, way.name, first, "ms", less=True)
            self.report.add("a later event after it was written, p99", way.name, later, "ms", less=True)

        self._each(goals.FIRST_BYTE, (STRAIGHT, SSHD, RAW, HTTP, HTTPS, OURS), measure)

    def grpc(self) -> None:
        what = "gRPC unary calls, 32 at once"
        if find_spec("grpc") is None:
            self.report.fail(what, "all", "grpcio is not installed")
            return
        from benchmarks.web.calls import called

        def measure(way: Way) -> None:
            words = () if way.server is None else ("x:h2",)
            with _local_server("grpc_server") as local, opened(way, self.folder, local, *words) as door:
                got = called(door, self.ca, seconds=self.seconds)
            self.report.add(what, way.name, got.calls, "/s")
            self.report.add("gRPC messages of one stream", way.name, got.messages, "/s")

        self._each(what, (STRAIGHT, RAW, H2), measure)


@contextmanager
def _local_server(module: str) -> Iterator[int]:
    """The port of one of ours."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.web.{module}"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


PARTS = ("requests", "bodies", "handshakes", "latency", "h2", "websockets", "events", "grpc")

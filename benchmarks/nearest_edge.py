"""
How long is an edge that is dead still given to clients?

Starts a real PowerDNS with three edges on loopback, in three places, and an entry record as the core writes it. Then an
edge dies, again and again, and the client that is near to it asks every 10 ms: until when is it sent there? An edge
dies in two ways: its port is closed (the process is gone), or it takes no connection and says nothing (the machine is
gone). Last, the answers of a second, and how long PowerDNS takes to load a GeoIP file of many networks.

    python -m benchmarks.nearest_edge
"""

from __future__ import annotations

import contextlib
import resource
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dns.edns
import dns.message
import dns.query
from mmdb_writer import MMDBWriter
from netaddr import IPNetwork, IPSet

from pinggy.dns.geo.file import compose
from pinggy.dns.geo.grid import Spot
from pinggy.dns.powerdns.lua import LUA, entry_contents
from tests.support.nearest import EDGES, PLACES, VISITORS, make_database
from tests.support.powerdns import LOOPBACK, PowerDns, rrset
from tests.support.service import free_port

DEATHS = 12
NAME = "a.example."
NETWORKS = 200_000


class Edge:
    """Something that listens, and can die in two ways."""

    def __init__(self, address: str, port: int) -> None:
        self._place = (address, port)
        self._listening: socket.socket | None = None
        self._held: list[socket.socket] = []
        self.live()

    def live(self) -> None:
        self.close()
        self._listening = self._listen(64)
        threading.Thread(target=_accept, args=(self._listening,), daemon=True).start()

    def close(self) -> None:
        """The process is gone."""
        for each in self._held:
            each.close()
        self._held.clear()
        if self._listening is not None:
            # A thread that waits in accept would keep the port open.
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None

    def fall_silent(self) -> None:
        """The machine is gone: whoever connects hears nothing, for all the places in the queue are taken."""
        self.close()
        self._listening = self._listen(0)
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(self._place)
            self._held.append(waiting)

    def _listen(self, backlog: int) -> socket.socket:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(self._place)
        listening.listen(backlog)
        return listening


def _accept(listening: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            listening.accept()[0].close()


def ask(server: PowerDns, visitor: str) -> str:
    option = dns.edns.ECSOption(visitor, 24)
    query = dns.message.make_query(NAME, "A", use_edns=0, options=[option])
    answer = dns.query.udp(query, LOOPBACK, port=server.dns_port, timeout=5)
    return str(answer.answer[0][0]) if answer.answer else ""


def until(is_so: Callable[[], bool], seconds: float = 30) -> float:
    """How long it took until it was so twice in a row."""
    began = time.perf_counter()
    found: float | None = None
    while time.perf_counter() - began < seconds:
        if is_so():
            if found is not None:
                return found - began
            found = time.perf_counter()
        else:
            found = None
        time.sleep(0.01)
    raise RuntimeError("it never came to be so")


def deaths(server: PowerDns, edge: Edge, die: Callable[[], None]) -> tuple[list[float], list[float]]:
    """The seconds until the edge in us is given no more, and until it is given again."""
    gone, back = [], []
    for number in range(DEATHS):
        # At any moment between two of PowerDNS's looks.
        time.sleep(number / DEATHS)
        die()
        gone.append(until(lambda: ask(server, VISITORS["us"]) != EDGES["us"]))
        edge.live()
        back.append(until(lambda: ask(server, VISITORS["us"]) == EDGES["us"]))
    return gone, back


def line(what: str, seconds: Sequence[float]) -> None:
    print(f"{what:<52} p50 {statistics.median(seconds):5.2f} s   worst {max(seconds):5.2f} s")


def answers_a_second(server: PowerDns) -> float:
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < 3:
        ask(server, VISITORS["eu"])
        count += 1
    return count / (time.perf_counter() - began)


def large_file(server: PowerDns, folder: Path) -> None:
    writer = MMDBWriter(6, "GeoLite2-City", languages=["en"], description="x", ipv4_compatible=True)
    for number in range(NETWORKS):
        network = IPNetwork(f"{16 + number // 65536}.{number // 256 % 256}.{number % 256}.0/24")
        location = {"latitude": float(number % 89), "longitude": float(number % 179)}
        writer.insert_network(IPSet([network]), {"location": location})
    writer.to_db_file(str(folder / "large.mmdb"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    compose({}, folder / "large.mmdb", folder / "out.mmdb")
    seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    size = (folder / "out.mmdb").stat().st_size
    print(f"composed {NETWORKS} networks that have no neighbour in their place: {seconds:.1f} s of CPU, {size} bytes")
    (folder / "out.mmdb").chmod(0o644)
    (folder / "out.mmdb").rename(server.geo_file)
    began = time.perf_counter()
    subprocess.run(["pdns_control", f"--socket-dir={server.folder}", "reload"], check=True, capture_output=True)
    print(f"loaded by PowerDNS in {(time.perf_counter() - began) * 1000:.0f} ms")


def main() -> None:
    server = PowerDns(geo=True)
    with tempfile.TemporaryDirectory() as folder:
        places = {EDGES[region]: Spot(*PLACES[region]) for region in EDGES}
        compose(places, make_database(Path(folder) / "city.mmdb"), server.geo_file)
        port = free_port()
        edges = {region: Edge(address, port) for region, address in EDGES.items()}
        server.start()
        try:
            server.make_zone()
            server.write([rrset(NAME, LUA, *entry_contents(EDGES.values(), port))])
            until(lambda: all(ask(server, VISITORS[region]) == EDGES[region] for region in EDGES))
            us = edges["us"]
            for what, die in (("its port is closed", us.close), ("it is silent", us.fall_silent)):
                gone, back = deaths(server, us, die)
                line(f"an edge dies, {what}: out of the answer after", gone)
                line("it lives again: in the answer after", back)
            print(f"answers a second, one question at a time: {answers_a_second(server):.0f}")
            large_file(server, Path(folder))
        finally:
            server.stop()
            for edge in edges.values():
                edge.close()


if __name__ == "__main__":
    main()

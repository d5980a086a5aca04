"""
What do visitors cost who do nothing, and what do others notice of 10,000 of them?

A new service, a real ssh and a local web server for each crowd: those who have connected and said nothing, who stopped
in the middle of a head (slowloris), who have been answered over http, and over https, and now keep their connection.
Prints how much the service's memory has grown for each of them, and how long 500 others wait for an answer meanwhile,
each over a connection of his own.

    python -m benchmarks.idle_visitors [--visitors 10000]
"""

from __future__ import annotations

import argparse
import resource
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.leg.servers import memory
from tests.support.local_servers import HELLO, hello, tcp_server
from tests.support.openssh import ssh
from tests.support.public import host
from tests.support.service import Service

_OF_AN_ADDRESS = 200
_OTHERS = 500
_WARM = 50  # visitors before it is counted: what is made once is there then
# Nobody's time is up while it lasts.
_SETTINGS = "[visitors]\nhead_seconds = 3600.0\nidle_seconds = 3600.0\nconnections_per_address = 300\n"

Visit = Callable[[int], socket.socket]


class Crowd:
    """The ways to do nothing; each makes the visitor of a number and returns when the edge has done what it does."""

    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        self._name = name
        self._context = ssl.create_default_context(cafile=str(service.ca))
        self._request = f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()

    def silent(self, number: int) -> socket.socket:
        return self._connect(number, self._service.http_port)

    def halfway(self, number: int) -> socket.socket:
        visitor = self._connect(number, self._service.http_port)
        visitor.sendall(self._request[:-10])
        return visitor

    def http(self, number: int) -> socket.socket:
        visitor = self._connect(number, self._service.http_port)
        self.ask(visitor)
        return visitor

    def https(self, number: int) -> socket.socket:
        plain = self._connect(number, self._service.https_port)
        visitor = self._context.wrap_socket(plain, server_hostname=self._name)
        self.ask(visitor)
        return visitor

    def ask(self, visitor: socket.socket) -> None:
        visitor.sendall(self._request)
        answer = b""
        while not answer.endswith(HELLO):
            data = visitor.recv(4096)
            assert data, answer
            answer += data

    def _connect(self, number: int, port: int) -> socket.socket:
        address = f"127.1.{number // _OF_AN_ADDRESS}.1"
        return socket.create_connection(("127.0.0.1", port), 60.0, (address, 0))


def waits(crowd: Crowd) -> list[float]:
    """Milliseconds from connect to the last byte of the answer, sorted."""
    found = []
    for number in range(_OTHERS):
        begun = time.monotonic()
        crowd.http(50_000 + number).close()
        found.append((time.monotonic() - begun) * 1000)
    return sorted(found)


def measure(kind: str, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder), _SETTINGS)
        service.start()
        try:
            with tcp_server(hello) as port, ssh(service, "-T", f"-R0:localhost:{port}") as client:
                _measure(service, Crowd(service, host(client.url())), kind, count)
        finally:
            service.stop()


def _measure(service: Service, crowd: Crowd, kind: str, count: int) -> None:
    assert service.process is not None
    visit: Visit = getattr(crowd, kind)
    alone = waits(crowd)
    held = [visit(number) for number in range(_WARM)]
    before = memory(service.process.pid).server
    begun = time.monotonic()
    held += [visit(number) for number in range(_WARM, count)]
    took = time.monotonic() - begun
    each = (memory(service.process.pid).server - before) / (count - _WARM) / 1000
    beside = waits(crowd)
    columns = (
        f"{kind:10} {each:6.1f} KB each",
        f"others wait {alone[_OTHERS // 2]:.1f} ms (p99 {alone[_OTHERS * 99 // 100]:.1f}) before",
        f"{beside[_OTHERS // 2]:.1f} ms (p99 {beside[_OTHERS * 99 // 100]:.1f}) beside them",
        f"they came in {took:.0f} s",
    )
    sys.stdout.write("   ".join(columns) + "\n")
    sys.stdout.flush()
    for visitor in held:
        visitor.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=10_000)
    parser.add_argument("--only", nargs="*", default=["silent", "halfway", "http", "https"])
    arguments = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for kind in arguments.only:
        measure(kind, arguments.visitors)


if __name__ == "__main__":
    main()

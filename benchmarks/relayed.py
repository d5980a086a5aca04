"""
What it costs a visitor that he comes to another edge than the one that has the tunnel: seconds from his request to the
answer's last byte, direct and relayed, alternately in one run.

Starts a whole service (PostgreSQL, one core, two PowerDNS behind gates, edges us and eu) on loopback, where the link
between the edges takes no time: what differs is what passing on adds. The tunnel is at us, with OpenSSH; the local
server answers 100 bytes at once.

    python -m benchmarks.relayed [--requests 2000]
"""

from __future__ import annotations

import argparse
import gc
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.deployment import DOMAIN, Deployment
from tests.support.local_servers import tcp_server
from tests.support.service import Lines

NAME = "timed"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"." * 100
_REQUEST = f"GET / HTTP/1.1\r\nHost: {NAME}.{DOMAIN}\r\n\r\n".encode()


def serve(connection: socket.socket) -> None:
    """Answer each request of *connection*."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while connection.recv(65536):
        connection.sendall(_ANSWER)


class Visitor:
    """One who comes to the edge of *region*, by http or (*context*) https."""

    def __init__(self, deployment: Deployment, region: str, context: ssl.SSLContext | None) -> None:
        self._place = (deployment.addresses[region], deployment.public_port)
        self._context = context
        self._kept: socket.socket | None = None

    def over_a_new_connection(self) -> float:
        began = time.perf_counter()
        with self._connect() as connection:
            _ask(connection)
            return time.perf_counter() - began

    def over_a_kept_connection(self) -> float:
        if self._kept is None:
            self._kept = self._connect()
            _ask(self._kept)
        began = time.perf_counter()
        _ask(self._kept)
        return time.perf_counter() - began

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(self._place, 20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is None:
            return plain
        return self._context.wrap_socket(plain, server_hostname=f"{NAME}.{DOMAIN}")


def _ask(connection: socket.socket) -> None:
    connection.sendall(_REQUEST)
    received = b""
    while not received.endswith(b"." * 100):
        data = connection.recv(65536)
        if not data:
            raise RuntimeError(f"no whole answer: {received!r}")
        received += data


def compare(what: str, direct: Callable[[], float], relayed: Callable[[], float], requests: int) -> None:
    for warm_up in (direct, relayed):
        for _ in range(20):
            warm_up()
    times: dict[str, list[float]] = {"direct": [], "relayed": []}
    for _ in range(requests):
        times["direct"].append(direct())
        times["relayed"].append(relayed())
    shown = {way: _quantiles(taken) for way, taken in times.items()}
    print(f"{what:28}", *(f"{way} p50 {p50:5.2f} p99 {p99:6.2f} ms" for way, (p50, p99) in shown.items()), sep="   ")
    added = [after - before for before, after in zip(shown["direct"], shown["relayed"], strict=True)]
    print(f"{'':28}   added p50 {added[0]:.2f} p99 {added[1]:.2f} ms", flush=True)


def _quantiles(taken: list[float]) -> tuple[float, float]:
    percent = statistics.quantiles((1000 * each for each in taken), n=100)
    return percent[49], percent[98]


def measure(deployment: Deployment, requests: int) -> None:
    token = deployment.new_token("timer", NAME)
    with tcp_server(serve) as port:
        ssh = deployment.ssh("us", token, port)
        Lines(ssh).until(f"http://{NAME}.")
        trusted = ssl.create_default_context(cafile=str(deployment.tls.ca))
        for scheme, context in (("http", None), ("https", trusted)):
            direct, relayed = (Visitor(deployment, region, context) for region in ("us", "eu"))
            for way in ("over_a_kept_connection", "over_a_new_connection"):
                what = f"{scheme} {way.replace('_', ' ')}"
                compare(what, getattr(direct, way), getattr(relayed, way), requests)
            direct.close()
            relayed.close()
        ssh.terminate()
        ssh.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    gc.disable()
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(Path(folder), regions=("us", "eu"), lease=30.0, connections_per_address=20000)
        try:
            deployment.start()
            measure(deployment, arguments.requests)
        finally:
            deployment.stop()


if __name__ == "__main__":
    main()

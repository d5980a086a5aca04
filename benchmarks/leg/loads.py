"""
What visitors do through a tunnel, and what it gives. The local servers and the visitors are iperf3, nginx and wrk.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.leg.servers import ROOT, cpu_seconds, memory
from tests.support.service import free_port

_BUSY = 10.0  # seconds for an iperf3 server to notice that its last visitor has left
_SLACK = 20.0  # seconds that a command may take beyond what it was asked for
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


class Failed(Exception):
    """A server did not do what was asked of it; the text says what came instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """*rate* is MB/s, *cpu* the server's CPU seconds for each GB."""

    rate: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """*rate* is requests a second; *p50* and *p99* are milliseconds."""

    rate: float
    p50: float
    p99: float


@contextmanager
def iperf() -> Iterator[int]:
    """The port of an iperf3 server."""
    port = free_port()
    server = subprocess.Popen(
        ["iperf3", "-s", "-p", str(port), "-B", "127.0.0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await_port(port)
        yield port
    finally:
        server.kill()
        server.wait()


def flow(pid: int, port: int, *, streams: int, from_client: bool, seconds: float) -> Flow:
    words = ["iperf3", "-c", "127.0.0.1", "-p", str(port), "-P", str(streams), "-t", str(seconds), "-J"]
    if from_client:
        words.append("-R")
    until = time.monotonic() + _BUSY
    while True:
        before = cpu_seconds(pid)
        said = json.loads(said_by(words, seconds) or '{"error": "nothing"}')
        if "error" not in said:
            received = said["end"]["sum_received"]
            if not received["bytes"]:
                raise Failed("no bytes came")
            spent = cpu_seconds(pid) - before
            return Flow(rate=received["bits_per_second"] / 8e6, cpu=spent / (received["bytes"] / 1e9))
        if time.monotonic() > until:
            raise Failed(f"iperf3 says: {said['error']}")
        # It may not have noticed yet that the last visitor has left.
        time.sleep(0.3)


def said_by(words: list[str], seconds: float) -> str:
    """What a command prints that should take *seconds*. Raises `Failed`."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=seconds + _SLACK).stdout
    except subprocess.TimeoutExpired:
        raise Failed(f"{words[0]} did not end within {seconds + _SLACK:g} s") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    port: int
    pid: int


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """The port of an nginx that answers with a few bytes."""
    with running_nginx(folder) as running:
        yield running.port


@contextmanager
def running_nginx(folder: Path, *, listen: str = "", also: str = "") -> Iterator[Nginx]:
    """One with a single worker that answers with a few bytes. *listen* and *also* are words of its configuration."""
    port = free_port()
    home = folder / f"nginx-{port}"
    home.mkdir(exist_ok=True)
    config = home / "nginx.conf"
    config.write_text(
        f"daemon off; user root; pid {home}/pid; error_log {home}/error.log; worker_processes 1;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; keepalive_requests 10000000; client_body_temp_path {home}; proxy_temp_path {home};\n"
        f"fastcgi_temp_path {home}; uwsgi_temp_path {home}; scgi_temp_path {home};\n"
        f"server {{ listen 127.0.0.1:{port} backlog=1024 {listen}; {also}\n"
        "location / { return 200 'hello from the laptop'; } } }\n"
    )
    server = subprocess.Popen(["nginx", "-c", str(config), "-p", str(home)], stderr=subprocess.DEVNULL)
    try:
        await_port(port)
        yield Nginx(port=port, pid=server.pid)
    finally:
        server.terminate()
        server.wait()


def answers(port: int, *, keep_alive: bool, seconds: float, host: str | None = None) -> Answers:
    """32 visitors at once; they ask for *host*, if it has one."""
    words = ["wrk", "-t1", "-c32", f"-d{max(1, round(seconds))}s", "--latency"]
    if host is not None:
        words += ["-H", f"Host: {host}"]
    if not keep_alive:
        words += ["-H", "Connection: close"]
    said = said_by([*words, f"http://127.0.0.1:{port}/"], seconds)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    found = dict(re.findall(r"(50|99)%\s+([0-9.]+(?:us|ms|s))", said))
    if rate is None or float(rate[1]) == 0:
        raise Failed("no answer came")
    if "Non-2xx" in said:
        raise Failed("an answer was not 200")
    return Answers(rate=float(rate[1]), p50=_milliseconds(found["50"]), p99=_milliseconds(found["99"]))


def _milliseconds(said: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)([a-z]+)", said).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


@contextmanager
def delayed(port: int, seconds: float) -> Iterator[int]:
    """A way to *port* that takes *seconds* each direction."""
    relay = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.leg.delay", str(port), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert relay.stdout is not None
        yield int(relay.stdout.readline())
    finally:
        relay.kill()
        relay.wait()


@contextmanager
def source() -> Iterator[int]:
    """The port of a local server that sends 100 MB to whoever comes."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    piece = bytes(256 * 1024)

    def send(connection: socket.socket) -> None:
        try:
            for _ in range(400):
                connection.sendall(piece)
            connection.close()
        except OSError:
            pass

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=send, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def stalled(pid: int, port: int, visitors: int) -> tuple[float, list[socket.socket]]:
    """MB that the server grows by while *visitors* have read 1 MB of 100 and then stop; and they, who stay so."""
    before = memory(pid).server
    connections = []
    for _ in range(visitors):
        connection = socket.create_connection(("127.0.0.1", port), timeout=_SLACK)
        connections.append(connection)
        read = 0
        try:
            while read < 1024 * 1024:
                if not (piece := connection.recv(65536)):
                    raise Failed(f"visitor {len(connections)} was cut off after {read} bytes")
                read += len(piece)
        except TimeoutError:
            raise Failed(f"visitor {len(connections)} got {read} bytes within {_SLACK:g} s") from None
    last = -1
    while (now := memory(pid).server) != last:
        last = now
        time.sleep(1)
    return (now - before) / 1e6, connections


def await_port(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return

"""
How visitors reach one local server: straight, through a raw tunnel, or as visitors of HTTP.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.leg.loads import Failed
from benchmarks.leg.servers import Server, cpu_seconds, ssh_words
from benchmarks.leg.servers import tunnel as raw_tunnel
from tests.support.service import Lines

STRAIGHT = "straight to the local server"
SSHD = "sshd, raw tunnel"
RAW = "edge alone, raw tunnel"
HTTP = "edge alone, http"
HTTPS = "edge alone, https"
H2 = "edge alone, h2"
OURS = "pinggy, http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """
    *server* is None where visitors go straight, the *scheme* None where the tunnel is raw. *words* are the client's
    arguments.
    """

    name: str
    server: Server | None = None
    scheme: str | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """
    Where visitors come: 127.0.0.1 at *port*, with *host* in the request and in the ClientHello. *pid* is the process
    whose tree serves them, None where that is the local server's.
    """

    scheme: str
    host: str
    port: int
    pid: int | None

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    def spent(self) -> float:
        """Seconds of CPU that the server has spent by now."""
        return 0.0 if self.pid is None else cpu_seconds(self.pid)

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"


def ways(servers: dict[str, Server]) -> dict[str, Way]:
    """All ways through the *servers* (``sshd``, ``edge``, ``pinggy``) that are there, and the one without any."""
    found = [Way(name=STRAIGHT)]
    if sshd := servers.get("sshd"):
        found.append(Way(name=SSHD, server=sshd))
    if edge := servers.get("edge"):
        found += [
            Way(name=RAW, server=edge),
            Way(name=HTTP, server=edge, scheme="http"),
            Way(name=HTTPS, server=edge, scheme="https"),
            Way(name=H2, server=edge, scheme="https"),
        ]
    if ours := servers.get("pinggy"):
        found.append(Way(name=OURS, server=ours, scheme="http"))
    return {way.name: way for way in found}


@contextmanager
def opened(way: Way, folder: Path, local_port: int, *words: str) -> Iterator[Door]:
    """The way, open to *local_port*. *words* are arguments of the client. Raises `Failed` where it is refused."""
    if way.server is None:
        yield Door(scheme="http", host="127.0.0.1", port=local_port, pid=None)
    elif way.scheme is None:
        with raw_tunnel(way.server, folder, local_port) as port:
            yield Door(scheme="http", host="127.0.0.1", port=port, pid=way.server.pid)
    else:
        with _web_tunnel(way.server, folder, local_port, way.scheme, *words) as (host, port):
            yield Door(scheme=way.scheme, host=host, port=port, pid=way.server.pid)


@contextmanager
def _web_tunnel(server: Server, folder: Path, local_port: int, scheme: str, *words: str) -> Iterator[tuple[str, int]]:
    """Host and port of the URL that the client prints."""
    command = ssh_words(server, folder, "-R", f"0:127.0.0.1:{local_port}", user="http")
    ssh = subprocess.Popen(
        [*command, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = Lines(ssh)
    try:
        try:
            line = lines.until(f"{scheme}://")
        except AssertionError:
            raise Failed(lines.seen[-1] if lines.seen else "the client said nothing") from None
        found = re.search(r"://([^:/]+):(\d+)", line)
        assert found, line
        yield found[1], int(found[2])
    finally:
        ssh.kill()
        ssh.wait()

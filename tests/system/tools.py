"""
What these tests do as users do: an ssh client, a local web server, a visitor; and what is left of a service.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.service import PATIENCE, Lines, Service

LOOPBACK = "127.0.0.1"


def eventually(what: Callable[[], object], why: str, seconds: float = PATIENCE) -> None:
    """Wait for what has no event of its own: another process's file, its end, its answer."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"this never came: {why}"
        time.sleep(0.02)


@contextlib.contextmanager
def local_web(says: bytes = b"hello from the laptop") -> Iterator[int]:
    """A local web server that answers everything with *says*; its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(says)))
            self.end_headers()
            self.wfile.write(says)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class Ssh:
    """One ``ssh``: what it shows line by line, and its end."""

    def __init__(self, command: list[str] | str, cwd: Path) -> None:
        self._said = cwd / f"ssh-{id(self)}.stderr"
        with self._said.open("w") as errors:
            self.process = subprocess.Popen(
                command,
                shell=isinstance(command, str),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.lines = Lines(self.process)

    def url(self) -> str:
        """The https URL, when it is printed."""
        return self.lines.until("https://")

    def name(self) -> str:
        return self.url().partition("//")[2].partition(".")[0]

    def end(self) -> tuple[int, list[str], str]:
        """Wait for its own end: exit status, the lines that were left, and what ssh itself said."""
        rest = self.lines.rest()
        return self.process.wait(PATIENCE), rest, self._said.read_text()

    def leave(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._said.unlink(missing_ok=True)


def ssh_command(service: Service, user: str, *words: str) -> list[str]:
    """*words* begin with ssh's own options; *user* may be empty: then no login name of a token's shape is sent."""
    return [
        "ssh",
        *("-F", "none", "-T", "-p", str(service.https_port)),
        *("-o", f"UserKnownHostsFile={service.known_hosts}", "-o", "StrictHostKeyChecking=yes"),
        *("-o", "PreferredAuthentications=none,publickey,password", "-o", "BatchMode=yes", "-l", user or "somebody"),
        *words,
    ]


@contextlib.contextmanager
def ssh(service: Service, *words: str, user: str = "", host: str = LOOPBACK) -> Iterator[Ssh]:
    """``ssh *words* host``; a tunnel is one word: ``-R0:localhost:PORT``."""
    options = [each for each in words if each.startswith("-")]
    command = [each for each in words if not each.startswith("-")]
    running = Ssh([*ssh_command(service, user, *options), host, *command], service.folder)
    try:
        yield running
    finally:
        running.leave()


@contextlib.contextmanager
def tunnel(service: Service, user: str = "", says: bytes = b"hello from the laptop") -> Iterator[tuple[Ssh, str]]:
    """A live tunnel to a local web server that says *says*; with its name."""
    with local_web(says) as port, ssh(service, f"-R0:{LOOPBACK}:{port}", user=user) as running:
        yield running, running.name()


def visit(service: Service, name: str, path: str = "/", source: str = LOOPBACK) -> tuple[int, bytes]:
    """What a visitor of ``http://name`` gets."""
    connection = http.client.HTTPConnection(LOOPBACK, service.http_port, timeout=PATIENCE, source_address=(source, 0))
    try:
        connection.request("GET", path, headers={"Host": f"{name}.a.localhost"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def dig(service: Service, name: str) -> str:
    """The authoritative answer for *name*, short; empty where there is none."""
    done = subprocess.run(
        ["dig", f"@{LOOPBACK}", "-p", str(service.dns_port), "+short", f"{name}.a.localhost"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout.strip()


def processes_of(folder: Path) -> list[int]:
    """Every process that stands in a place below *folder*, or was given one (a cluster) as its descriptor 9."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        for link in (process / "cwd", process / "fd" / "9"):
            with contextlib.suppress(OSError):
                place = link.readlink()
                if place == folder or folder in place.parents:
                    found.append(int(process.name))
                    break
    return found


def is_free(port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    with socket.socket(socket.AF_INET, kind) as each:
        if kind is socket.SOCK_STREAM:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            each.bind((LOOPBACK, port))
        except OSError:
            return False
    return True

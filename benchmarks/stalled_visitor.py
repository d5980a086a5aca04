"""
What does a visitor cost who stops reading in the middle of a download?

Starts the service, a real ssh and a local web server; a visitor asks for 100 MB, reads 1 MB and stops. Prints how much
the service's resident memory has grown, with one such visitor and with ten.

    python -m benchmarks.stalled_visitor
"""

from __future__ import annotations

import http.server
import os
import select
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from tests.support.service import Service

SIZE = 100 * 1024 * 1024
FIRST = 1024 * 1024


class Download(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sent = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        piece = bytes(64 * 1024)
        try:
            for _ in range(SIZE // len(piece)):
                self.wfile.write(piece)
                type(self).sent += len(piece)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        pass


def resident(pid: int) -> float:
    """MB of *pid*'s own memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no such process")


def stall(service: Service, host: str) -> socket.socket:
    """A visitor who reads the first MB and stops; returns when nothing more moves anywhere."""
    visitor = socket.create_connection(("127.0.0.1", service.http_port))
    visitor.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    read = 0
    while read < FIRST:
        read += len(visitor.recv(64 * 1024))
    return visitor


def settle() -> None:
    """Wait until the local server has not sent anything for two seconds."""
    before = -1
    while before != Download.sent:
        before = Download.sent
        select.select([], [], [], 2.0)


def main() -> None:
    local = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Download)
    threading.Thread(target=local.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        service.start()
        assert service.process is not None
        ssh = subprocess.Popen(
            [
                *("ssh", "-N", "-p", str(service.https_port), "-o", f"UserKnownHostsFile={service.known_hosts}"),
                *("-R", f"hello:1:127.0.0.1:{local.server_port}", f"{service.token}@127.0.0.1"),
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "SSH_AUTH_SOCK": ""},
        )
        try:
            host = "hello.a.localhost"
            visitors = [_first(service, host)]
            before = resident(service.process.pid)
            visitors.append(stall(service, host))
            settle()
            one = resident(service.process.pid)
            visitors += [stall(service, host) for _ in range(9)]
            settle()
            ten = resident(service.process.pid)
            print(f"before                {before:8.1f} MB")
            print(f"one stalled visitor   {one - before:+8.1f} MB")
            print(f"ten stalled visitors  {ten - before:+8.1f} MB")
            for each in visitors:
                each.close()
        finally:
            ssh.terminate()
            ssh.wait()
            service.stop()


def _first(service: Service, host: str) -> socket.socket:
    """Warm up: one whole download, so that what is loaded once is not counted."""
    while True:
        visitor = socket.create_connection(("127.0.0.1", service.http_port))
        visitor.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        read = 0
        while piece := visitor.recv(256 * 1024):
            read += len(piece)
        if read > SIZE:
            return visitor
        visitor.close()
        select.select([], [], [], 0.2)


if __name__ == "__main__":
    main()

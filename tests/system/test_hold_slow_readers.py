"""
Somebody stops reading in the middle of 100 MB: what is on its way stays bounded, and nobody else waits for him.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.support.local_servers import BLOCK, Serve, blocks, digest_of, read_all, read_until, tcp_server
from tests.support.openssh import ssh
from tests.support.public import connect, connect_tls, host
from tests.support.raw_tunnels import KINDS, raw_tunnel
from tests.support.service import PATIENCE, Service

SIZE = 100 * 1024 * 1024
OTHERS = 16 * 1024 * 1024
# More than the windows and the kernels' sockets between both ends hold; without windows all of SIZE would be in.
BOUND = 32 * 1024 * 1024
STUCK = 1.0  # seconds in which a socket takes nothing until it is called stuck
SMALL = 64 * 1024  # bytes of a receive buffer that does not grow


class Sending:
    """Sends blocks, and says in *outcome* once whether it got stuck; *taken* are the bytes that the socket took."""

    def __init__(self) -> None:
        self.taken = 0
        self.outcome: SimpleQueue[str] = SimpleQueue()

    def send(self, connection: socket.socket, size: int) -> None:
        connection.settimeout(STUCK)
        for block in blocks(size):
            rest = memoryview(block)
            while rest:
                try:
                    sent = connection.send(rest)
                except TimeoutError:
                    self.outcome.put("stuck")
                    connection.settimeout(PATIENCE)
                    continue
                self.taken += sent
                rest = rest[sent:]
        self.outcome.put("sent")


@contextmanager
def web_tunnel(service: Service, scheme: str, serve: Serve) -> Iterator[tuple[str, str]]:
    """Two URLs of *scheme*: of the tunnel, and of another one to the same local server."""
    with (
        tcp_server(serve) as port,
        ssh(service, "-T", f"-R0:localhost:{port}") as one,
        ssh(service, "-T", f"-R0:localhost:{port}") as two,
    ):
        yield one.url(scheme), two.url(scheme)


def web_visit(service: Service, url: str, request: str, *, receive: int | None = None) -> socket.socket:
    plain = connect(url, receive=receive)
    visitor = connect_tls(url, service.ca, plain=plain) if url.startswith("https") else plain
    visitor.sendall(request.replace("HOST", host(url)).encode())
    return visitor


# -- the visitor stops reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_visitor_of_http_stops_reading(service: Service, scheme: str) -> None:
    slow = Sending()

    def serve(connection: socket.socket) -> None:
        target = read_until(connection, b"\r\n\r\n").split(b" ")[1]
        size = int(target.strip(b"/"))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size)
        (slow if size == SIZE else Sending()).send(connection, size)

    request = "GET /{} HTTP/1.1\r\nHost: HOST\r\n\r\n"
    with web_tunnel(service, scheme, serve) as urls:
        visitor = web_visit(service, urls[0], request.format(SIZE), receive=SMALL)
        read_until(visitor, b"HTTP/1.1 200")
        assert slow.outcome.get(timeout=PATIENCE) == "stuck"
        for url in urls:
            with web_visit(service, url, request.format(OTHERS)) as other:
                body = read_until(other, b"\r\n\r\n").partition(b"\r\n\r\n")[2]
                assert read_all(other, body, OTHERS).digest == digest_of(OTHERS)
        assert slow.taken < BOUND
        visitor.close()
        # The connection broke, and the tunnel did not.
        with web_visit(service, urls[0], request.format(OTHERS)) as other:
            read_until(other, b"HTTP/1.1 200")


@pytest.mark.parametrize("kind", KINDS)
def test_a_visitor_of_a_raw_tunnel_stops_reading_and_goes_on_later(service: Service, tmp_path: Path, kind: str) -> None:
    slow = Sending()

    def serve(connection: socket.socket) -> None:
        size = int(read_until(connection, b"\n"))
        (slow if size == SIZE else Sending()).send(connection, size)

    with raw_tunnel(service, tmp_path, kind, serve) as tunnel, tunnel.visit(receive=SMALL) as visitor:
        visitor.sendall(b"%d\n" % SIZE)
        first = visitor.recv(BLOCK)
        assert slow.outcome.get(timeout=PATIENCE) == "stuck"
        for _ in range(2):
            with tunnel.visit() as other:
                other.sendall(b"%d\n" % OTHERS)
                assert read_all(other).digest == digest_of(OTHERS)
        assert slow.taken < BOUND
        assert read_all(visitor, first).digest == digest_of(SIZE)


# -- the local server stops reading ------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_local_server_stops_reading_an_upload(service: Service, scheme: str) -> None:
    go_on = threading.Event()

    def serve(connection: socket.socket) -> None:
        head, _, body = read_until(connection, b"\r\n\r\n").partition(b"\r\n\r\n")
        size = int(head.split(b" ")[1].strip(b"/"))
        if size == SIZE:
            assert go_on.wait(2 * PATIENCE)
        digest = read_all(connection, body, size).digest.encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(digest), digest))

    request = "PUT /{0} HTTP/1.1\r\nHost: HOST\r\nContent-Length: {0}\r\n\r\n"
    with web_tunnel(service, scheme, serve) as urls:
        slow = Sending()
        with web_visit(service, urls[0], request.format(SIZE)) as visitor:
            sender = threading.Thread(target=slow.send, args=(visitor, SIZE))
            sender.start()
            assert slow.outcome.get(timeout=PATIENCE) == "stuck"
            for url in urls:
                with web_visit(service, url, request.format(OTHERS)) as other:
                    Sending().send(other, OTHERS)
                    read_until(other, digest_of(OTHERS).encode())
            assert slow.taken < BOUND
            go_on.set()
            sender.join()
            read_until(visitor, digest_of(SIZE).encode())


@pytest.mark.parametrize("kind", KINDS)
def test_a_local_server_stops_reading_a_raw_stream(service: Service, tmp_path: Path, kind: str) -> None:
    go_on = threading.Event()

    def serve(connection: socket.socket) -> None:
        line, _, body = read_until(connection, b"\n").partition(b"\n")
        if int(line) == SIZE:
            assert go_on.wait(2 * PATIENCE)
        connection.sendall(read_all(connection, body, int(line)).digest.encode())

    with raw_tunnel(service, tmp_path, kind, serve) as tunnel, tunnel.visit() as visitor:
        slow = Sending()
        visitor.sendall(b"%d\n" % SIZE)
        sender = threading.Thread(target=slow.send, args=(visitor, SIZE))
        sender.start()
        assert slow.outcome.get(timeout=PATIENCE) == "stuck"
        with tunnel.visit() as other:
            other.sendall(b"%d\n" % OTHERS)
            Sending().send(other, OTHERS)
            read_until(other, digest_of(OTHERS).encode())
        assert slow.taken < BOUND
        go_on.set()
        sender.join()
        read_until(visitor, digest_of(SIZE).encode())

"""
100 MB each way through every type: not a byte is lost, added or moved.
"""

from __future__ import annotations

import http.client
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.local_servers import BLOCK, Count, WebServer, blocks, digest_of, echo, read_all, shut
from tests.support.openssh import ssh
from tests.support.public import connect, connect_tls
from tests.support.raw_tunnels import KINDS, raw_tunnel
from tests.support.service import Service

SIZE = 100 * 1024 * 1024
SMALLER = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def urls(service: Service, web: WebServer) -> Iterator[dict[str, str]]:
    """By scheme, of one tunnel."""
    with ssh(service, "-T", f"-R0:localhost:{web.port}") as client:
        yield {scheme: client.url(scheme) for scheme in ("http", "https")}


HTTP = [
    ("http", "length", SIZE),
    ("https", "chunked", SIZE),
    ("http", "chunked", SMALLER),
    ("https", "length", SMALLER),
]


@pytest.mark.parametrize(("scheme", "framing", "size"), HTTP)
def test_down_by_http(service: Service, urls: dict[str, str], scheme: str, framing: str, size: int) -> None:
    target = f"{urls[scheme]}/{'bytes' if framing == 'length' else 'chunked'}/{size}"
    count = Count()
    words = ["curl", "--silent", "--fail", "--cacert", str(service.ca), target]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        while data := curl.stdout.read(BLOCK):
            count.add(data)
    assert curl.returncode == 0
    assert (count.size, count.digest) == (size, digest_of(size))


@pytest.mark.parametrize(("scheme", "framing", "size"), HTTP)
def test_up_by_http(service: Service, urls: dict[str, str], scheme: str, framing: str, size: int) -> None:
    url = urlsplit(urls[scheme])
    connection = http.client.HTTPConnection(url.netloc)
    connection.sock = connect(urls[scheme]) if scheme == "http" else connect_tls(urls[scheme], service.ca)
    headers = {"Content-Length": str(size)} if framing == "length" else {}
    connection.request("PUT", "/digest", body=blocks(size), headers=headers, encode_chunked=framing == "chunked")
    response = connection.getresponse()
    assert response.status == 200
    assert response.read().decode() == f'{{"size": {size}, "digest": "{digest_of(size)}"}}'
    connection.close()


def send_or_count(connection: socket.socket) -> None:
    """A visitor's first 9 bytes say what he wants: G and a size, or P and a size and then so many bytes."""
    wanted = b""
    while len(wanted) < 9:
        wanted += connection.recv(9 - len(wanted))
    what, size = struct.unpack(">cQ", wanted)
    if what == b"G":
        for block in blocks(size):
            connection.sendall(block)
    else:
        count = read_all(connection, size=size)
        connection.sendall(f"{count.size} {count.digest}".encode())


@pytest.mark.parametrize("kind", KINDS)
def test_down_and_up_raw(service: Service, tmp_path: Path, kind: str) -> None:
    with raw_tunnel(service, tmp_path, kind, send_or_count) as tunnel:
        with tunnel.visit() as visitor:
            visitor.sendall(struct.pack(">cQ", b"G", SIZE))
            count = read_all(visitor)
            assert (count.size, count.digest) == (SIZE, digest_of(SIZE))
        with tunnel.visit() as visitor:
            visitor.sendall(struct.pack(">cQ", b"P", SIZE))
            for block in blocks(SIZE):
                visitor.sendall(block)
            assert visitor.recv(BLOCK).decode() == f"{SIZE} {digest_of(SIZE)}"


def test_both_ways_at_once(service: Service, tmp_path: Path) -> None:
    with raw_tunnel(service, tmp_path, "tcp", echo) as tunnel, tunnel.visit() as visitor:

        def send() -> None:
            for block in blocks(SIZE):
                visitor.sendall(block)
            shut(visitor)

        sender = threading.Thread(target=send)
        sender.start()
        count = read_all(visitor)
        sender.join()
    assert (count.size, count.digest) == (SIZE, digest_of(SIZE))

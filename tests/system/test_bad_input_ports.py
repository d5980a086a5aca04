"""
Garbage on every port, hostile TLS, endless heads, nonsense for core and DNS: refused, and nobody else notices.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import ssl
import struct
import threading
from collections.abc import Iterator

import pytest

from pinggy.wire import paths
from tests.support.service import PATIENCE, Service
from tests.system.tools import LOOPBACK, dig, eventually, is_free, ssh, tunnel, visit


@pytest.fixture(autouse=True)
def bystander(service: Service) -> Iterator[None]:
    """Somebody else's tunnel and visitor, who must notice nothing; and the log, which must not either."""
    with tunnel(service) as (_, name):
        visitor = http.client.HTTPConnection(LOOPBACK, service.http_port, timeout=PATIENCE)

        def ask() -> int:
            visitor.request("GET", "/", headers={"Host": f"{name}.a.localhost"})
            response = visitor.getresponse()
            assert response.read() == b"hello from the laptop"
            return response.status

        assert ask() == 200
        yield
        assert ask() == 200
        visitor.close()
        assert visit(service, name)[0] == 200
        assert dig(service, name).endswith(LOOPBACK)
        assert call(service, "GET", paths.READYZ)[0] == 200
    assert service.failures() == []


def say(port: int, *said: bytes, end: bool = True) -> bytes:
    """Say it piece by piece, and with *end* no more; all that comes back until the connection is closed."""
    heard = b""
    with socket.create_connection((LOOPBACK, port), PATIENCE) as stranger, contextlib.suppress(OSError):
        stranger.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for each in said:
            stranger.sendall(each)
        if end:
            stranger.shutdown(socket.SHUT_WR)
        while data := stranger.recv(65536):
            heard += data
    return heard


CHANCE = random.Random(3)
GARBAGE = {
    "nothing": b"",
    "one byte": b"\x00",
    "zeros": bytes(100_000),
    "letters": b"A" * 100_000,
    "random": CHANCE.randbytes(100_000),
    "utf-8": "\N{PILE OF POO} \u202e".encode() * 1000,
    "lines": b"\r\n" * 10_000,
    "a method": b"GET",
    "a bare line": b"GET\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
    "half of TLS": b"\x16\x03",
    "TLS of zeros": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "TLS of garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + CHANCE.randbytes(10_000),
    "SSL 2": b"\x80\x2e\x01\x00\x02" + CHANCE.randbytes(100),
    "SSH and garbage": b"SSH-2.0-x\r\n" + CHANCE.randbytes(10_000),
    "SOCKS": b"\x05\x01\x00",
    "PROXY protocol": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "PROXY protocol 2": b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),
    "SMTP": b"EHLO example.com\r\nMAIL FROM:<>\r\n",
    "RDP": b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
}


@pytest.mark.parametrize("port", ["https_port", "http_port", "core_port", "dns_port", "metrics_port"])
def test_garbage_on_a_port(service: Service, port: str) -> None:
    talks = [
        threading.Thread(target=say, args=(getattr(service, port), *pieces))
        for said in GARBAGE.values()
        for pieces in ((said,), [said[:20][at : at + 1] for at in range(20)])
    ]
    for each in talks:
        each.start()
    for each in talks:
        each.join(PATIENCE)
        assert not each.is_alive(), "a connection was not closed"


def test_garbage_for_a_tcp_tunnel_with_nobody_behind_it(service: Service) -> None:
    with socket.create_server((LOOPBACK, 0)) as closed:
        nobody = closed.getsockname()[1]
    with ssh(service, f"-R0:{LOOPBACK}:{nobody}", user="tcp") as client:
        port = int(client.lines.until("tcp://").rpartition(":")[2])
        for said in GARBAGE.values():
            assert say(port, said, end=False) == b""
    eventually(lambda: is_free(port), "the end of the port")


# -- TLS --------------------------------------------------------------------------------------------------------------


def client_hello(name: str) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    """A TLS client that has spoken its first word; what comes in and what goes out."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return client, incoming, outgoing


def test_a_tls_hello_in_one_byte_pieces_is_served(service: Service) -> None:
    with tunnel(service) as (_, name):
        client, incoming, outgoing = client_hello(f"{name}.a.localhost")
        with socket.create_connection((LOOPBACK, service.https_port), PATIENCE) as visitor:
            visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in outgoing.read():
                visitor.sendall(bytes([byte]))

            def through(step: str, *words: bytes) -> bytes:
                while True:
                    try:
                        done = getattr(client, step)(*words)
                    except ssl.SSLWantReadError:
                        visitor.sendall(outgoing.read())
                        data = visitor.recv(65536)
                        assert data
                        incoming.write(data)
                    else:
                        visitor.sendall(outgoing.read())
                        return bytes(done or b"") if step == "read" else b""

            through("do_handshake")
            through("write", f"GET / HTTP/1.1\r\nHost: {name}.a.localhost\r\nConnection: close\r\n\r\n".encode())
            assert through("read").startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_tls_hello_cut_anywhere_or_spoilt_is_closed(service: Service) -> None:
    hello = client_hello("x.a.localhost")[2].read()
    for size in range(1, len(hello), 7):
        assert say(service.https_port, hello[:size]) == b""
    for at in range(0, len(hello), 3):
        say(service.https_port, hello[:at] + bytes([hello[at] ^ 0xFF]) + hello[at + 1 :])


@pytest.mark.parametrize(
    "name", ["a.localhost", "x.y.a.localhost", "elsewhere.example", "x" * 250, "..", "_x.a.localhost"]
)
def test_a_server_name_that_is_nobodys_is_told_so(service: Service, name: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((LOOPBACK, service.https_port), PATIENCE) as plain:
        try:
            client = context.wrap_socket(plain, server_hostname=name)
        except (ssl.SSLError, ValueError):
            return
        with client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x.a.localhost\r\nConnection: close\r\n\r\n")
            assert client.recv(100).split()[1] in (b"404", b"421")


# -- HTTP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [b"GET /" + b"x" * 4096, b"X-Long: " + b"x" * 4096, b"X: y\r\n" * 100, b" folded\r\n" * 500],
    ids=["long target", "long line", "many lines", "one folded line"],
)
def test_a_request_head_that_grows_too_large_is_refused(service: Service, line: bytes) -> None:
    """Up to 100 MB would be sent, if anybody took it."""
    heard = []
    with socket.create_connection((LOOPBACK, service.http_port), PATIENCE) as stranger:
        reader = threading.Thread(target=lambda: heard.append(stranger.recv(65536)))
        reader.start()
        with contextlib.suppress(OSError):
            stranger.sendall(b"" if line.startswith(b"GET") else b"GET / HTTP/1.1\r\nHost: x.a.localhost\r\n")
            for _ in range(100_000_000 // len(line)):
                stranger.sendall(line)
        reader.join(PATIENCE)
    assert heard
    assert heard[0].split()[1] in ((b"414", b"431", b"400") if line.startswith(b"GET") else (b"431", b"400"))


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {name}\r\nHost: other.a.localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {name}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {name}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "GET / HTTP/1.1\r\nHost: {name}\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {name}\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {name}\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {name}\r\nX: y\x00\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: {name}\r\n\r\n",
        "G\u00cbT / HTTP/1.1\r\nHost: {name}\r\n\r\n",
    ],
)
def test_a_request_that_can_be_read_two_ways_is_refused(service: Service, head: str) -> None:
    with tunnel(service) as (_, name):
        heard = say(service.http_port, head.replace("{name}", f"{name}.a.localhost").encode("latin-1"), end=False)
        assert heard == b"" or heard.split()[1] in (b"400", b"501", b"505"), heard[:100]


@pytest.mark.parametrize(
    "host", ["", "..", "a.localhost", "x" * 5000, "[::1]:80", "%00", "\xff", "x.a.localhost.evil.example"]
)
def test_a_host_that_is_nobodys_is_told_so(service: Service, host: str) -> None:
    heard = say(service.http_port, f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode("latin-1"))
    assert heard.split()[1] in (b"400", b"404")


# -- the core ---------------------------------------------------------------------------------------------------------


def call(
    service: Service, method: str, path: str, secret: str = "", body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    """One call of the core's API, as it stands."""
    connection = http.client.HTTPConnection(LOOPBACK, service.core_port, timeout=PATIENCE)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in {"Authorization": f"Bearer {secret}", "Content-Length": str(len(body)), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def secret(service: Service, file: str) -> str:
    return (service.state / file).read_text().strip()


def test_the_core_answers_nobody_without_the_right_secret(service: Service) -> None:
    operator, edge = secret(service, "operator.key"), secret(service, "edge.secret")
    office = (paths.ACCOUNTS, paths.TOKENS, paths.KEYS, paths.NAMES, paths.PORTS, paths.EDGES, paths.TUNNELS)
    edges = (paths.REGISTER, paths.IDENTIFY, paths.AUTHORIZE, paths.LIVE, paths.RENEW, paths.RELEASE)
    wrong = ("", "x", operator[:-1], operator + "x", operator.swapcase(), service.token, "\xff" * 100, "x" * 10_000)
    for attempt in wrong:
        for path in office:
            assert call(service, "GET", path, attempt)[0] == 401
        for path in edges:
            assert call(service, "POST", path, attempt, b"{}")[0] == 401
    for path in office:
        assert call(service, "GET", path, edge)[0] == 401, "an edge is no operator"
    for path in edges:
        assert call(service, "POST", path, operator, b"{}")[0] == 401, "an operator is no edge"


BODIES = [
    b"",
    b"null",
    b"[]",
    b"nonsense",
    b"{",
    b"\xff\xfe",
    b"[" * 500_000,
    b'{"name":' * 100_000,
    b"9" * 100_000,
    b'{"name": 1}',
    b'{"name": null}',
    b'{"name": ["x"]}',
    b'{"name": "\\ud800"}',
    b'{"name": "\\u0000"}',
    b'{"account": "\\u0000", "name": "\\u0000", "line": "\\ud800", "comment": "\\ud800", "port": -1}',
    b'{"name": "X Y", "region": "\\u0000", "addresses": ["192.0.2.1"]}',
    b'{"account": "nobody-there", "name": "X Y", "port": 1e400, "comment": "x", "line": "ssh-ed25519 AAAA"}',
    b'{"account": "nobody-there", "port": 99999999999999999999999999}',
    b'{"account": "nobody-there", "comment": "' + b"x" * 900_000 + b'"}',
    b'{"name": "X Y", "region": "x", "addresses": ["999.1.1.1"]}',
    b'{"tunnel": "x", "credential": {"is": "nonsense"}, "address": "x", "wants": []}',
    b'{"credential": {"is": "token", "token": "\\ud800"}}',
    b'{"credential": {"is": "key", "fingerprint": "\\u0000"}}',
    b'{"instance": "\\u0000", "tunnels": [{"tunnel": "\\u0000"}], "host_keys": ["\\u0000"]}',
    b'{"tunnel": "' + b"0" * 32 + b'", "code": "\\u0000", "numbers": [' + b"1," * 100_000 + b"1]}",
]


def test_bodies_that_are_none_are_refused(service: Service) -> None:
    before = service.pinggy("account", "list", "--json").stdout
    for path in (paths.ACCOUNTS, paths.TOKENS, paths.KEYS, paths.NAMES, paths.PORTS, paths.EDGES):
        for body in BODIES:
            status, said = call(service, "POST", path, secret(service, "operator.key"), body)
            assert 400 <= status < 500, (path, body[:80], said)
    for path in (paths.REGISTER, paths.IDENTIFY, paths.AUTHORIZE, paths.LIVE, paths.RENEW, paths.RELEASE):
        for body in BODIES:
            status, said = call(service, "POST", path, secret(service, "edge.secret"), body)
            assert 400 <= status < 500, (path, body[:80], said)
            assert len(json.loads(said)["text"]) < 300
    assert service.pinggy("account", "list", "--json").stdout == before


def test_a_body_that_is_too_long_is_refused_before_it_is_read(service: Service) -> None:
    operator = secret(service, "operator.key")
    head = f"POST {paths.ACCOUNTS} HTTP/1.1\r\nHost: core\r\nAuthorization: Bearer {operator}\r\n".encode()
    promised = say(service.core_port, head + b"Content-Length: 2000000000\r\n\r\n", end=False)
    assert promised.startswith(b"HTTP/1.1 413 ")
    # Without an end, and without anybody who takes it.
    endless = [b"10000\r\n" + b"x" * 65536 + b"\r\n"] * 1500
    heard = say(service.core_port, head + b"Transfer-Encoding: chunked\r\n\r\n", *endless, end=False)
    assert heard == b"" or heard.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v2/accounts"),
        ("GET", "/../../etc/passwd"),
        ("GET", "/" + "x" * 10_000),
        ("GET", "/%ff%00"),
        ("GET", "/" + "a/" * 3000),
        ("PATCH", paths.ACCOUNTS),
        ("NONSENSE", paths.ACCOUNTS),
        ("DELETE", paths.ACCOUNTS),
        ("DELETE", f"{paths.TOKENS}/%00"),
        ("DELETE", f"{paths.NAMES}/%ff%fe"),
        ("DELETE", f"{paths.PORTS}/99999999999999999999"),
        ("DELETE", f"{paths.TUNNELS}/' OR 1=1 --".replace(" ", "%20")),
        ("DELETE", f"{paths.KEYS}/{'x' * 5000}"),
        ("GET", f"{paths.TOKENS}?account=%00"),
        ("GET", f"{paths.TUNNELS}?account=%ff&history=x"),
        ("GET", f"{paths.TUNNELS}?" + "account=x&" * 1000),
        ("POST", paths.HEALTHZ),
    ],
)
def test_a_path_that_is_none_is_refused(service: Service, method: str, path: str) -> None:
    status, said = call(service, method, path, secret(service, "operator.key"))
    assert status in (400, 404, 405, 414, 501) or (status, path[:12]) == (200, "/v1/tunnels?"), said[:300]


# -- DNS --------------------------------------------------------------------------------------------------------------


def questions() -> list[bytes]:
    """Messages that are no good questions: cut, looping, lying, and of the wrong kind."""
    chance = random.Random(4)
    good = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05hello\x01a\x09localhost\x00\x00\x01\x00\x01"
    found = [good[:size] for size in range(len(good))]
    found += [chance.randbytes(size) for size in (1, 12, 13, 100, 512, 4096, 60_000)]
    for _ in range(200):
        flipped = bytearray(good)
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        found.append(bytes(flipped))
    header = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    found += [
        header + b"\xc0\x0c\x00\x01\x00\x01",  # a name that points at itself
        header + b"\xc0\xff\x00\x01\x00\x01",
        header + (b"\x3f" + b"x" * 63) * 10 + b"\x00\x00\x01\x00\x01",
        header + b"\x01x" * 200 + b"\x00\x00\x01\x00\x01",
        b"\x12\x34\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff" + good[12:],
        b"\x12\x34\x81\x80" + good[4:],  # an answer
        *(b"\x12\x34" + bytes([opcode << 3, 0]) + good[4:] for opcode in range(16)),
        *(good[:-4] + struct.pack(">HH", kind, 1) for kind in (0, 41, 249, 250, 251, 252, 255, 65535)),
        *(good[:-2] + struct.pack(">H", kind) for kind in (0, 3, 254, 255, 65535)),
    ]
    return found


def test_dns_that_is_none(service: Service) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect((LOOPBACK, service.dns_port))
        for each in questions():
            stranger.send(each)
    for each in questions():
        say(service.dns_port, struct.pack(">H", len(each)) + each)
    for lie in (0, 1, 65535):
        say(service.dns_port, struct.pack(">H", lie) + b"x" * 100)
    assert dig(service, "ns1") == LOOPBACK

"""
Visitors who come to an edge that does not have the tunnel, with real programs: they never notice.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.deployment import DOMAIN, Deployment
from tests.support.grpc_calls import grpc_channel, grpc_server
from tests.support.local_servers import (
    BLOCK,
    WebServer,
    blocks,
    echo,
    own_certificate,
    read_all,
    server_context,
    shut,
    tcp_server,
)
from tests.support.service import PATIENCE, Lines

SIZE = 320 * BLOCK  # 20 MiB


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    # us and us2 are of one region.
    made = Deployment(
        tmp_path_factory.mktemp("relay"),
        regions=("us", "eu", "us2"),
        region_of={"us2": "us"},
        zone_interval=3600.0,
    )
    try:
        made.start()
        yield made
        assert made.failures() == []
    finally:
        made.stop()


@pytest.fixture(scope="module")
def token(deployment: Deployment) -> str:
    return deployment.new_token("acme")


@contextmanager
def tunnel(deployment: Deployment, region: str, user: str, port: int, name: str, *words: str) -> Iterator[Lines]:
    """*name* with its type, as ``tls//secret``; until it is live."""
    ssh = deployment.ssh(region, user, port, *words, named=name)
    lines = Lines(ssh)
    try:
        lines.until("://")
        yield lines
    finally:
        ssh.terminate()
        ssh.wait(PATIENCE)


def curl(deployment: Deployment, region: str, url: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """*url* has the path alone behind its name; whoever is asked is the edge of *region*."""
    scheme, _, rest = url.partition("://")
    name, _, path = rest.partition("/")
    host = f"{name}.{DOMAIN}:{deployment.public_port}"
    return subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--max-time", "60", "--cacert", str(deployment.tls.ca)),
            *("--resolve", f"{host}:{deployment.addresses[region]}", *words, f"{scheme}://{host}/{path}"),
        ],
        capture_output=True,
        timeout=2 * PATIENCE,
        check=True,
    )


def ask(deployment: Deployment, region: str, url: str, *words: str) -> dict[str, Any]:
    """What the local server says of the request; header names in lower case."""
    said = json.loads(curl(deployment, region, url, *words).stdout)
    return {**said, "headers": {name.lower(): value for name, value in said.get("headers", ())}}


def connect(deployment: Deployment, region: str, port: int | None = None) -> socket.socket:
    made = socket.create_connection((deployment.addresses[region], port or deployment.public_port), PATIENCE)
    made.settimeout(PATIENCE)
    return made


# -- http ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_reach_the_tunnel_of_another_edge_with_the_address_of_their_visitor(
    deployment: Deployment, web: WebServer, token: str, scheme: str
) -> None:
    with tunnel(deployment, "us", token, web.port, f"shop-{scheme}"):
        said = ask(deployment, "eu", f"{scheme}://shop-{scheme}/a?b=c", "-H", "X-Forwarded-For: 192.0.2.66")
        assert (said["method"], said["target"]) == ("GET", "/a?b=c")
        # He came from this machine: the address that reached the first edge.
        assert said["headers"]["x-forwarded-for"] == "127.0.0.1"
        assert said["headers"]["x-forwarded-proto"] == scheme
        assert said["headers"]["x-forwarded-host"] == f"shop-{scheme}.{DOMAIN}:{deployment.public_port}"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_twenty_megabytes_pass_byte_by_byte_both_ways(
    deployment: Deployment, web: WebServer, token: str, scheme: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"".join(blocks(SIZE)))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with tunnel(deployment, "us", token, web.port, f"big-{scheme}"):
        got = curl(deployment, "eu", f"{scheme}://big-{scheme}/bytes/{SIZE}").stdout
        assert hashlib.sha256(got).hexdigest() == digest
        said = ask(deployment, "eu", f"{scheme}://big-{scheme}/digest", "-T", str(file))
        assert (said["size"], said["digest"]) == (SIZE, digest)
        chunked = ask(
            deployment, "eu", f"{scheme}://big-{scheme}/digest", "-T", str(file), "-H", "Transfer-Encoding: chunked"
        )
        assert (chunked["size"], chunked["digest"]) == (SIZE, digest)


def test_a_whitelist_sees_the_visitor_and_not_the_edge_that_he_came_by(
    deployment: Deployment, web: WebServer, token: str
) -> None:
    with tunnel(deployment, "us", token, web.port, "listed", "w:127.0.0.77"):
        url, address = "http://listed/", ("--interface", "127.0.0.77")
        assert ask(deployment, "eu", url, *address)["method"] == "GET"
        with pytest.raises(subprocess.CalledProcessError):
            curl(deployment, "eu", url)
        assert ask(deployment, "eu", "https://listed/", *address)["method"] == "GET"
        with pytest.raises(subprocess.CalledProcessError):
            curl(deployment, "eu", "https://listed/")


def test_a_connection_that_was_passed_on_is_no_other_hosts(deployment: Deployment, web: WebServer, token: str) -> None:
    with (
        tunnel(deployment, "us", token, web.port, "one"),
        tunnel(deployment, "us", token, web.port, "two"),
    ):
        context = ssl.create_default_context(cafile=str(deployment.tls.ca))
        with context.wrap_socket(connect(deployment, "eu"), server_hostname=f"one.{DOMAIN}") as visitor:
            for name, status in (("one", b"200"), ("two", b"421"), ("one", b"200")):
                visitor.sendall(b"HEAD / HTTP/1.1\r\nHost: %s.%s\r\n\r\n" % (name.encode(), DOMAIN.encode()))
                head = b""
                while b"\r\n\r\n" not in head:
                    head += visitor.recv(BLOCK)
                assert head.startswith(b"HTTP/1.%c %s" % (head[7], status)), head


def test_a_web_socket_passes(deployment: Deployment, token: str) -> None:
    def upgrade(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(BLOCK)
        assert b"Upgrade: chat" in head
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
        echo(connection)

    with (
        tcp_server(upgrade) as port,
        tunnel(deployment, "us", token, port, "chat"),
        connect(deployment, "eu") as visitor,
    ):
        visitor.sendall(
            b"GET / HTTP/1.1\r\nHost: chat.%s\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n" % DOMAIN.encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += visitor.recv(BLOCK)
        assert head.startswith(b"HTTP/1.1 101 ")
        visitor.sendall(b"hello")
        assert visitor.recv(BLOCK) == b"hello"
        shut(visitor)
        assert visitor.recv(BLOCK) == b""


def test_calls_of_grpc_pass_with_their_trailers(deployment: Deployment, token: str) -> None:
    with grpc_server() as server, tunnel(deployment, "us", token, server.port, "calls", "x:h2"):
        url = f"https://calls.{DOMAIN}:{deployment.public_port}"
        with grpc_channel(url, deployment.tls.ca, deployment.addresses["eu"]) as channel:
            assert list(channel.unary_stream("/test.Calls/count")(b"3", PATIENCE)) == [b"0", b"1", b"2"]
            assert list(channel.stream_stream("/test.Calls/talk")(iter([b"a", b"b"]), PATIENCE)) == [b"a", b"b"]
            with pytest.raises(grpc.RpcError) as failed:
                channel.unary_unary("/test.Calls/fail")(b"", PATIENCE)
            assert failed.value.code() is grpc.StatusCode.NOT_FOUND


def test_nobodys_name_is_nowhere(deployment: Deployment) -> None:
    said = curl(deployment, "eu", "http://nobody/", "--write-out", "%{http_code}")
    assert said.stdout.endswith(b"404")


# -- raw tunnels -----------------------------------------------------------------------------------------------------


def test_tls_passes_untouched(deployment: Deployment, token: str, tmp_path: Path) -> None:
    own = own_certificate(tmp_path / "own", DOMAIN)
    with (
        tcp_server(echo, server_context(own)) as port,
        tunnel(deployment, "us", token, port, "tls//sealed"),
    ):
        # It is the local server's own certificate that the visitor sees, and nobody's between.
        context = ssl.create_default_context(cafile=str(own.ca))
        with context.wrap_socket(connect(deployment, "eu"), server_hostname=f"sealed.{DOMAIN}") as visitor:
            visitor.sendall(b"hello")
            assert visitor.recv(BLOCK) == b"hello"


def test_tls_ends_at_the_edge_that_has_the_tunnel(deployment: Deployment, token: str) -> None:
    with tcp_server(echo) as port, tunnel(deployment, "us", token, port, "tlstcp//open"):
        context = ssl.create_default_context(cafile=str(deployment.tls.ca))
        with context.wrap_socket(connect(deployment, "eu"), server_hostname=f"open.{DOMAIN}") as visitor:
            visitor.sendall(b"hello")
            assert visitor.recv(BLOCK) == b"hello"


def test_a_port_is_open_at_every_edge_of_its_region(deployment: Deployment, token: str) -> None:
    def digest(connection: socket.socket) -> None:
        connection.sendall(read_all(connection).digest.encode())

    with tcp_server(digest) as port:
        ssh = deployment.ssh("us", f"{token}+tcp", port)
        try:
            public = int(Lines(ssh).until("tcp://").rpartition(":")[2])
            with until_open(deployment, "us2", public) as visitor:
                data = b"".join(blocks(SIZE))
                visitor.sendall(data)
                shut(visitor)
                assert read_all(visitor).size == 64
            with connect(deployment, "us2", public) as visitor:
                visitor.sendall(data)
                shut(visitor)
                assert visitor.makefile("rb").read() == hashlib.sha256(data).hexdigest().encode()
        finally:
            ssh.terminate()
            ssh.wait(PATIENCE)
    until_closed(deployment, "us2", public)


def until_open(deployment: Deployment, region: str, port: int) -> socket.socket:
    """The order to listen is on its way."""
    for _ in range(200):
        try:
            return connect(deployment, region, port)
        except ConnectionRefusedError:
            threading.Event().wait(0.05)
    raise AssertionError("the port was never opened")


def until_closed(deployment: Deployment, region: str, port: int) -> None:
    for _ in range(200):
        try:
            connect(deployment, region, port).close()
        except ConnectionRefusedError:
            return
        threading.Event().wait(0.05)
    raise AssertionError("the port was never closed")


# -- tunnels that move -----------------------------------------------------------------------------------------------


def test_a_visitor_who_stays_sees_nothing_of_a_takeover(deployment: Deployment, web: WebServer, token: str) -> None:
    stop = threading.Event()
    answers: dict[str, list[int]] = {"us": [], "eu": []}
    farewells: list[str] = []

    def visit(region: str) -> None:
        """One who keeps his connection for as long as he may, and comes to the same edge ever again."""
        connection = http.client.HTTPConnection(deployment.addresses[region], deployment.public_port, timeout=PATIENCE)
        while not stop.is_set():
            connection.request("GET", "/", headers={"Host": f"mover.{DOMAIN}"})
            response = connection.getresponse()
            response.read()
            answers[region].append(response.status)
            if response.will_close:
                farewells.append(region)
        connection.close()

    with tunnel(deployment, "us", token, web.port, "mover"):
        visitors = [threading.Thread(target=visit, args=(region,)) for region in answers]
        for each in visitors:
            each.start()
        try:
            for region in ("eu", "us", "eu"):
                ssh = deployment.ssh(region, f"{token}+force", web.port, named="mover")
                Lines(ssh).until("://")
                ends = {each: len(answers[each]) for each in answers}
                while any(len(answers[each]) < ends[each] + 20 for each in answers):
                    assert all(each.is_alive() for each in visitors)
                    stop.wait(0.05)
        finally:
            stop.set()
            for each in visitors:
                each.join()
    for statuses in answers.values():
        assert set(statuses) == {200}
    # Those whose connection had been ended where the tunnel was are asked to look for it anew.
    assert {"us", "eu"} <= set(farewells)
    ssh.terminate()
    ssh.wait(PATIENCE)


def test_a_core_that_is_away_stops_nobody_who_knows_the_way(deployment: Deployment, web: WebServer, token: str) -> None:
    assert deployment.core is not None
    with tunnel(deployment, "us", token, web.port, "known"):
        assert ask(deployment, "eu", "http://known/")["method"] == "GET"
        deployment.core.kill()
        try:
            for scheme in ("http", "https") * 3:
                assert ask(deployment, "eu", f"{scheme}://known/")["method"] == "GET"
        finally:
            deployment.core.start()


def test_while_the_edge_is_gone_visitors_wait_for_the_tunnel_to_come_back_elsewhere(
    deployment: Deployment, web: WebServer, token: str
) -> None:
    with tunnel(deployment, "us2", token, web.port, "phoenix"):
        assert ask(deployment, "eu", "http://phoenix/")["method"] == "GET"
        deployment.edges["us2"].kill()
        # As autossh does: again until it is let in.
        ssh = deployment.ssh_until_live("us", f"{token}+force", web.port, "phoenix", named="phoenix")
        assert ask(deployment, "eu", "http://phoenix/")["method"] == "GET"
        ssh.terminate()
        ssh.wait(PATIENCE)
    deployment.edges["us2"].start()

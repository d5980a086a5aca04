"""
What the operator's settings bound: each limit refuses with its sentence, and leaves others alone.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.service import PATIENCE, Service
from tests.system.tools import LOOPBACK, dig, eventually, local_web, ssh, tunnel, visit

NewService = Callable[..., Service]
ELSEWHERE = "127.0.0.2"


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    limits = "\n".join(
        (
            "anonymous_tunnels_per_address = 2",
            "new_tunnels_per_minute_per_address = 1000",
            "tunnels_per_account = 2",
            "forwardings_per_tunnel = 3",
            "channels_per_tunnel = 2",
        )
    )
    running = Service(tmp_path_factory.mktemp("tight"), limits=limits)
    running.start()
    yield running
    assert running.stop() == 0
    assert running.failures() == []


@contextlib.contextmanager
def tunnel_from(service: Service, address: str, user: str = "") -> Iterator[list[str]]:
    """What a tunnel of a client at *address* shows: its lines until the https URL, or until its end."""
    with local_web() as port, ssh(service, f"-b{address}", f"-R0:{LOOPBACK}:{port}", user=user) as client:
        lines: list[str] = []
        while (line := client.lines.next()) is not None:
            lines.append(line)
            if line.startswith("https://"):
                break
        yield lines


def test_anonymous_tunnels_of_an_address(tight: Service) -> None:
    with tunnel(tight) as (_, one), tunnel(tight) as (_, two):
        with tunnel_from(tight, LOOPBACK) as lines:
            assert lines == ["Your address has 2 anonymous tunnels already: close one, or use a token."]
        with tunnel_from(tight, ELSEWHERE) as lines:
            assert lines[-1].startswith("https://"), "another address is another matter"
        with tunnel_from(tight, LOOPBACK, tight.token) as lines:
            assert lines[-1].startswith("https://"), "and so is an account"
        assert visit(tight, one)[0] == visit(tight, two)[0] == 200
    with tunnel(tight) as (_, three):
        assert visit(tight, three)[0] == 200


def test_tunnels_of_an_account(tight: Service) -> None:
    token = tight.new_token("busy")
    with tunnel(tight, token) as (_, one), tunnel(tight, token) as (_, two):
        assert one != two
        with tunnel_from(tight, LOOPBACK, token) as lines:
            assert lines == ["Your account has 2 tunnels already: close one first."]
        with tunnel_from(tight, LOOPBACK, tight.token) as lines:
            assert lines[-1].startswith("https://")
        assert visit(tight, one)[0] == visit(tight, two)[0] == 200


def test_forwardings_of_a_tunnel(tight: Service) -> None:
    token = tight.new_token("many")
    with local_web() as port:
        names = [f"-Rmany-{number}:1:{LOOPBACK}:{port}" for number in range(5)]
        with ssh(tight, *names, user=token) as client:
            lines = [client.lines.next() for _ in range(8)]
            assert len({line for line in lines if line and line.startswith("https://many-")}) == 3
            refused = [line for line in lines if line and "://" not in line]
            assert refused == ["This connection has 3 forwardings already: more are not allowed."] * 2
            granted = [line.partition("//")[2].partition(".")[0] for line in lines if line and "https" in line]
            assert [visit(tight, name)[0] for name in granted] == [200, 200, 200]


def test_channels_of_a_tunnel(tight: Service) -> None:
    """Two visitors hold theirs open; the third is told, and served as soon as one has left."""
    with socket.create_server((LOOPBACK, 0)) as local, tunnel(tight) as (_, other):
        held: list[socket.socket] = []
        with ssh(tight, f"-R0:{LOOPBACK}:{local.getsockname()[1]}") as client:
            name = client.name()
            visitors = []
            for _ in range(2):
                visitor = socket.create_connection((LOOPBACK, tight.http_port), PATIENCE)
                visitor.sendall(f"GET / HTTP/1.1\r\nHost: {name}.a.localhost\r\n\r\n".encode())
                held.append(local.accept()[0])
                visitors.append(visitor)
            status, body = visit(tight, name)
            assert status == 503
            assert body.startswith(b"The tunnel of this name has as many visitors as it may have at the moment")
            assert visit(tight, other)[0] == 200
            # Gone for good: a mere end of what it sends could be a visitor who still reads.
            visitors[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            visitors[0].close()
            # The local server sees that its first visitor is gone: then there is room.
            while held[0].recv(4096):
                pass
            held[0].close()

            def serve() -> None:
                connection, _ = local.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    connection.recv(4096)

            threading.Thread(target=serve, daemon=True).start()
            eventually(lambda: visit(tight, name) == (200, b"ok"), "room for another visitor")
            for each in (*visitors, *held):
                each.close()


def test_new_tunnels_of_an_address_within_a_minute(new_service: NewService) -> None:
    service = new_service(limits="new_tunnels_per_minute_per_address = 3")
    service.start()
    sentence = "Too many tunnels were started from your address within a minute: wait a little."
    with tunnel(service) as (_, standing):
        for _ in range(2):
            with tunnel(service):
                pass
        with tunnel_from(service, LOOPBACK, "") as lines:
            assert lines == [sentence]
        # An account's are counted by themselves: all that a team has may come back at once.
        with tunnel_from(service, LOOPBACK, service.token) as lines:
            assert lines[-1].startswith("https://")
        with tunnel_from(service, ELSEWHERE) as lines:
            assert lines[-1].startswith("https://")
        assert visit(service, standing)[0] == 200
    assert service.stop() == 0
    assert service.failures() == []


def test_connections_of_an_address(new_service: NewService) -> None:
    service = new_service(limits="[visitors]\nconnections_per_address = 6")
    service.start()
    with tunnel(service) as (_, name):
        crowd = [socket.create_connection((LOOPBACK, service.http_port), PATIENCE) for _ in range(5)]
        # The client's own ssh is the sixth.
        with socket.create_connection((LOOPBACK, service.http_port), PATIENCE) as seventh:
            assert is_closed(seventh)
        assert visit(service, name, source=ELSEWHERE)[0] == 200
        crowd.pop().close()
        eventually(lambda: is_served(service, name), "room for another visitor")
        for each in crowd:
            each.close()
    assert service.stop() == 0
    assert service.failures() == []


def is_closed(connection: socket.socket) -> bool:
    """Whether it is closed at once, politely or not."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def is_served(service: Service, name: str) -> bool:
    with contextlib.suppress(OSError):
        return visit(service, name)[0] == 200
    return False


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    more = "\n[clients]\nlogin = 1\nnotice = 'Ask for an account.'\n[visitors]\nhead_seconds = 1\n[dns]\nttl = 3"
    limits = "anonymous_tunnels_per_address = 100" + more
    running = Service(tmp_path_factory.mktemp("brief"), "anonymous_minutes = 0.04\nkept_names = ['admin']", limits)
    running.start()
    yield running
    assert running.stop() == 0
    assert running.failures() == []


def test_an_anonymous_tunnel_expires(brief: Service) -> None:
    with tunnel(brief, brief.token) as (_, standing), local_web() as port:
        with ssh(brief, f"-R0:{LOOPBACK}:{port}") as client:
            name = client.name()
            assert client.lines.seen[:2] == [
                "You are not authenticated.",
                "Your tunnel will expire in 1 minute. Ask for an account.",
            ]
            assert dig(brief, name) == f"local.a.localhost.\n{LOOPBACK}"
            assert visit(brief, name)[0] == 200
            assert client.end()[:2] == (1, ["Your tunnel has expired: start it again for a new one."])
        eventually(lambda: dig(brief, name) == "", "the end of the name in DNS")
        assert visit(brief, name)[0] == 404
        assert visit(brief, standing)[0] == 200, "an account's tunnel has no end"


def test_a_login_that_takes_too_long_is_closed(brief: Service) -> None:
    with socket.create_connection((LOOPBACK, brief.https_port), PATIENCE) as silent:
        silent.sendall(b"SSH-2.0-silent\r\n")
        said = b""
        while data := silent.recv(4096):
            said += data
    assert b"No login within 1 seconds." in said


def test_a_request_head_that_does_not_end_is_answered_408(brief: Service) -> None:
    with socket.create_connection((LOOPBACK, brief.http_port), PATIENCE) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x.a.localhost\r\nX-Slow: ")
        assert slow.makefile("rb").read().startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_the_zones_own_labels_are_never_granted(brief: Service) -> None:
    labels = ["www", "ns1", "ns99", "local", "mail", "_x", "_acme-challenge", "tcp-1", "wpad", "autodiscover", "admin"]
    wanted = [*labels, "WWW", "www.a.localhost", "http//localhost", "tls//ns2", "tlstcp//ns3.a.localhost"]
    with local_web() as port:
        options = [f"-R{each}:{number}:{LOOPBACK}:{port}" for number, each in enumerate(wanted, 1)]
        with ssh(brief, *options, "-Rgood:99:127.0.0.1:9", user=brief.token) as client:
            assert client.name() == "good"
            said = {client.lines.next() for _ in wanted}
    meant = [*labels, "WWW", "www", "localhost", "ns2", "ns3"]
    assert said == {f"The name {each} belongs to the service itself: choose another." for each in meant}
    for label in (*labels, "localhost", "*"):
        assert dig(brief, label) == (LOOPBACK if label in ("local", "ns1") else "")
        assert brief.pinggy("name", "reserve", "local", label, check=False).returncode == 1


def test_any_address_is_no_name(brief: Service) -> None:
    """``-R *:1:...`` and ``-R localhost:1:...`` are how ssh says where to listen: the default forwarding."""
    for bind in ("*", "localhost"):
        with ssh(brief, f"-R{bind}:1:{LOOPBACK}:9", user=brief.token) as client:
            assert client.name() == "hello"


def test_anonymous_names_are_well_formed_and_differ(service: Service) -> None:
    names = []
    for _ in range(5):
        with ssh(service, f"-R0:{LOOPBACK}:9") as client:
            names.append(client.name())
    assert len(set(names)) == 5
    assert all(re.fullmatch("[a-z0-9]{14}", name) for name in names)

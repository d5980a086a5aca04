"""
Visitors who say little and slowly (slowloris), or nothing, by the hundred: others are served meanwhile, and each has
his end.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.local_servers import HELLO, hello, tcp_server
from tests.support.service import PATIENCE, Service
from tests.system.tools import LOOPBACK, ssh, visit

SLOW = 150
IDLE = 100
# More than one address may have are turned away at the door.
MOST = 200


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = f"[visitors]\nhead_seconds = 2.0\nidle_seconds = 600.0\nconnections_per_address = {MOST}\n"
    service = Service(tmp_path_factory.mktemp("slow"), settings)
    service.start()
    yield service
    assert service.stop() == 0
    assert service.failures() == []


@pytest.fixture(scope="module")
def name(service: Service) -> Iterator[str]:
    with tcp_server(hello) as port, ssh(service, f"-R0:{LOOPBACK}:{port}") as client:
        yield client.name()


def connect(service: Service, source: str) -> socket.socket:
    visitor = socket.create_connection((LOOPBACK, service.http_port), PATIENCE, (source, 0))
    visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return visitor


def request(name: str, method: str = "GET", *fields: str) -> bytes:
    return "\r\n".join((f"{method} / HTTP/1.1", f"Host: {name}.a.localhost", *fields, "", "")).encode()


def answer_to(visitor: socket.socket) -> bytes:
    """Read by single bytes, up to its end."""
    heard = b""
    while not heard.endswith(HELLO):
        byte = visitor.recv(1)
        assert byte, heard
        heard += byte
    return heard


def drip(visitors: list[socket.socket], heads: bytes) -> list[bytes]:
    """Each sends another byte in turn, until all have been answered; the answers."""
    heard = dict.fromkeys(visitors, b"")
    waiting = set(visitors)
    at = 0
    while waiting:
        for each in waiting:
            try:
                each.send(heads[at % len(heads)].to_bytes())
            except OSError:
                """It has been closed; what was said before is read below."""
        at += 1
        ready, _, _ = select.select(list(waiting), [], [], 0.05)
        for each in ready:
            try:
                data = each.recv(65536)
            except ConnectionResetError:
                data = b""
            heard[each] += data
            if not data:
                waiting.discard(each)
    return list(heard.values())


def test_slow_heads_are_answered_408_and_idle_visitors_stay_while_others_are_served(
    service: Service, name: str
) -> None:
    with ExitStack() as opened:
        idle = [opened.enter_context(connect(service, "127.0.11.1")) for _ in range(IDLE)]
        for each in idle:
            each.sendall(request(name))
            assert answer_to(each).startswith(b"HTTP/1.1 200 ")
        slow = [opened.enter_context(connect(service, "127.0.11.2")) for _ in range(SLOW)]
        answers: list[bytes] = []
        endless = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 9999
        dripping = threading.Thread(target=lambda: answers.extend(drip(slow, endless)))
        dripping.start()
        served = 0
        while dripping.is_alive():
            assert visit(service, name) == (200, HELLO)
            served += 1
        dripping.join(PATIENCE)
        assert served > 1
        assert len(answers) == SLOW
        # A byte that crosses our closing resets the connection, and the answer may be lost by that.
        assert {each.split()[1] for each in answers if each} == {b"408"}
        for each in idle:
            each.sendall(request(name))
            assert answer_to(each).startswith(b"HTTP/1.1 200 ")


def test_no_address_has_more_connections_than_it_may_and_those_that_end_are_free_again(
    service: Service, name: str
) -> None:
    with ExitStack() as opened:
        held = [opened.enter_context(connect(service, "127.0.11.3")) for _ in range(MOST)]
        for each in held:
            each.sendall(b"G")
        with connect(service, "127.0.11.3") as one_more:
            assert one_more.recv(1) == b""
        assert visit(service, name, source="127.0.11.4") == (200, HELLO)
        # What they say is a head from here on, and never comes to its end.
        for each in held:
            each.sendall(b"ET / ")
        for each in held:
            assert each.recv(100).split()[1] == b"408"
            each.close()
        with connect(service, "127.0.11.3") as again:
            again.sendall(request(name))
            assert answer_to(again)


def test_bodies_and_answers_by_single_bytes_pass_whole(service: Service, name: str) -> None:
    with connect(service, "127.0.11.5") as visitor:
        for byte in request(name, "GET", "Transfer-Encoding: chunked"):
            visitor.sendall(byte.to_bytes())
        for byte in b"5\r\nhello\r\n0\r\n\r\n":
            visitor.sendall(byte.to_bytes())
        assert answer_to(visitor).startswith(b"HTTP/1.1 200 ")

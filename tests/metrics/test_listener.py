"""
The port that Prometheus asks at, asked by curl: it shows all metrics at one path, and has bounds.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from pinggy.metrics.config import MetricsSettings
from pinggy.metrics.listener import MOST_CONNECTIONS, Listener
from pinggy.metrics.metrics import Metrics
from pinggy.settings import SettingsError

asynchronous = pytest_twisted.ensureDeferred
ANY_PORT = MetricsSettings(listen="127.0.0.1:0")


class Doors(Metrics):
    def __init__(self, prefix: str = "house") -> None:
        super().__init__(prefix)
        self.slammed = self._words("slams", "Doors that slammed.", "why", ("wind", "anger"))
        self.refreshed: Deferred[None] = succeed(None)
        self.asked = 0
        self.broken = False
        self._gauge("open", "Doors that are open.", self._open)

    def _open(self) -> float:
        if self.broken:
            raise ValueError("nobody counted")
        return 3

    def refresh(self) -> Deferred[None]:
        self.asked += 1
        return self.refreshed


class Caller(Protocol):
    """Keeps what comes; *lost* fires when the connection is closed."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


@pytest.fixture
def doors() -> Doors:
    return Doors()


@pytest_twisted.async_yield_fixture
async def listener(doors: Doors) -> AsyncIterator[Listener]:
    listener = Listener(reactor, ANY_PORT, [doors])
    listener.open()
    yield listener
    await listener.close()


async def curl(listener: Listener, path: str = "/metrics", *words: str) -> tuple[int, str]:
    """Status and body."""
    url = f"http://127.0.0.1:{listener.port}{path}"
    command = ["curl", "-s", "--max-time", "20", "-w", "\n%{http_code}", *words, url]
    done = await deferToThread(subprocess.run, command, capture_output=True, text=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


async def call(listener: Listener) -> Caller:
    caller = Caller()
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", listener.port), caller)
    return caller


@asynchronous
async def test_it_shows_what_prometheus_reads(listener: Listener, doors: Doors) -> None:
    doors.slammed.count("wind", 2)
    doors.slammed.count("a ghost")
    status, body = await curl(listener)
    assert status == 200
    families = {each.name: each for each in text_string_to_metric_families(body)}
    assert {(each.labels["why"], each.value) for each in families["house_slams"].samples} == {
        ("wind", 2.0),
        ("anger", 0.0),
        ("other", 1.0),
    }
    assert [each.value for each in families["house_open"].samples] == [3.0]
    assert families["process_open_fds"].samples[0].value > 0


@asynchronous
async def test_two_daemons_in_one_process_have_one_port(doors: Doors) -> None:
    listener = Listener(reactor, ANY_PORT, [doors, Doors("shed")])
    listener.open()
    _, body = await curl(listener)
    names = [each.name for each in text_string_to_metric_families(body)]
    assert {"house_open", "shed_open"} <= set(names)
    assert len(names) == len(set(names))
    await listener.close()


@asynchronous
async def test_it_has_one_path_and_one_method(listener: Listener) -> None:
    for path in ("/", "/metrics/", "/metrics/x", "/healthz"):
        assert (await curl(listener, path))[0] == 404
    assert (await curl(listener, "/metrics?x=1"))[0] == 200
    assert (await curl(listener, "/metrics", "-X", "DELETE"))[0] == 405
    status, body = await curl(listener, "/metrics", "--head")
    assert status == 200
    assert "text/plain" in body


@asynchronous
async def test_a_body_ends_the_connection(listener: Listener) -> None:
    assert await curl(listener, "/metrics", "-X", "GET", "-d", "x") == (0, "")
    assert await curl(listener, "/metrics", "-H", "Transfer-Encoding: chunked", "-d", "x") == (0, "")
    assert (await curl(listener))[0] == 200


@asynchronous
async def test_of_many_connections_those_over_the_bound_are_closed(listener: Listener) -> None:
    callers = [await call(listener) for _ in range(MOST_CONNECTIONS)]
    over = await call(listener)
    await over.lost
    callers[0].transport.loseConnection()  # type: ignore[union-attr]
    await callers[0].lost
    for each in callers[1:]:
        assert not each.lost.called


@asynchronous
async def test_who_asks_at_the_same_time_is_answered_by_one_look(listener: Listener, doors: Doors) -> None:
    doors.refreshed = Deferred()
    callers = [await call(listener) for _ in range(3)]
    for each in callers:
        each.transport.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")  # type: ignore[union-attr]
    # Answered after them: by then all have been read.
    assert (await curl(listener, "/elsewhere"))[0] == 404
    doors.refreshed.callback(None)
    for each in callers:
        await each.lost
        assert each.heard.startswith(b"HTTP/1.1 200 OK")
    assert doors.asked == 1


@asynchronous
async def test_a_look_that_does_not_end_is_not_waited_for(doors: Doors) -> None:
    listener = Listener(reactor, ANY_PORT, [doors], patience=0.05)
    listener.open()
    doors.refreshed = Deferred()
    status, body = await curl(listener)
    assert status == 200
    assert "house_open 3.0" in body
    # It may end later: nobody minds.
    doors.refreshed.callback(None)
    await listener.close()


@asynchronous
async def test_what_breaks_is_logged_and_said(listener: Listener, doors: Doors, nothing_is_lost: list[str]) -> None:
    doors.broken = True
    assert (await curl(listener))[0] == 500
    assert "nobody counted" in nothing_is_lost.pop()


@asynchronous
async def test_it_closes_under_whoever_asks(doors: Doors) -> None:
    listener = Listener(reactor, ANY_PORT, [doors])
    listener.open()
    doors.refreshed = Deferred()
    caller = await call(listener)
    caller.transport.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")  # type: ignore[union-attr]
    closed = listener.close()
    await caller.lost
    doors.refreshed.callback(None)
    await closed


@asynchronous
async def test_without_a_socket_nothing_listens(doors: Doors) -> None:
    listener = Listener(reactor, MetricsSettings(), [doors])
    listener.open()
    await listener.close()


def test_a_port_that_is_taken_is_one_sentence(doors: Doors) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        listener = Listener(reactor, MetricsSettings(listen=f"127.0.0.1:{port}"), [doors], "core.metrics.listen")
        with pytest.raises(
            SettingsError, match=rf"^The setting core\.metrics\.listen = 127\.0\.0\.1:{port} is of no use"
        ):
            listener.open()


@pytest.mark.parametrize("text", ["9471", "localhost:9471", "127.0.0.1", "127.0.0.1:65536", "::1:9471"])
def test_what_is_no_socket_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^listen: "):
        MetricsSettings(listen=text)

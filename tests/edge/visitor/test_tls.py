from __future__ import annotations

import shutil
import ssl
import subprocess
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_twisted
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.address import IPv4Address
from twisted.internet.main import CONNECTION_LOST

from pinggy.edge.local_ca import LocalCertificate
from pinggy.edge.stream import StreamRefused
from pinggy.edge.visitor.tls import HELLO
from pinggy.edge.visitor.tls_transport import CLOSE_NOTIFY
from pinggy.tunnel.endings import ClientLeft
from pinggy.tunnel.policy import Policy
from pinggy.tunnel.request import Kind
from tests.certificates.pairs import AUTHORITY, put
from tests.edge.visitor.conftest import DOMAIN, Edge, listening_edge, reactor
from tests.http.test_clienthello import real_hello
from tests.support.streams import FakeClient, FakeStream, live_forwarding
from tests.support.transports import VisitorTransport
from tests.support.visitors import PATIENCE, connect, in_thread, read_all, say, say_in_tls, tls_connect, tls_context

ELSEWHERE = Policy(whitelist=(ip_network("198.51.100.0/24"),))
HERE = Policy(whitelist=(ip_network("127.0.0.0/8"),))
KINDS = [Kind.HTTP, Kind.TLS, Kind.TLSTCP]


class LocalTlsServer:
    """The answer of a `FakeStream` behind which a server speaks TLS itself: it says who it is, and echoes a line."""

    def __init__(self, certificate: LocalCertificate) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def __call__(self, stream: FakeStream, data: bytes) -> None:
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
            line = self._tls.read()
        except ssl.SSLWantReadError:
            line = b""
        if line:
            self._tls.write(b"own server: " + line)
        stream.client_sends(self._outgoing.read())
        if line:
            stream.client_ends()


def echo(stream: FakeStream, data: bytes) -> None:
    stream.client_sends(data)
    if data.endswith(b"\n"):
        stream.client_ends()


def visit(edge: Edge) -> VisitorTransport:
    arrival = edge.factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 40000))
    assert arrival is not None
    return VisitorTransport(arrival)


# -- tls: passed through ------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_tls_is_passed_through_to_the_certificate_of_the_local_server(
    edge: Edge, local_servers: LocalCertificate
) -> None:
    client = FakeClient(answer=LocalTlsServer(local_servers))
    live = edge.add(live_forwarding(client, kind=Kind.TLS, name="own"))
    trust = tls_context(local_servers.ca)

    def visit() -> tuple[bytes, str]:
        with tls_connect(edge.port, f"own.{DOMAIN}", trust) as connection:
            connection.sendall(b"hello\n")
            return connection.recv(100), connection.selected_alpn_protocol() or ""

    assert await in_thread(visit) == (b"own server: hello\n", "")
    await edge.limit.empty()
    assert live.tunnel.tally.open == 0
    assert live.tunnel.tally.received > 200
    assert client.visitors[0].host == "127.0.0.1"


def test_the_hello_is_passed_on_unread(still_edge: Edge) -> None:
    client = FakeClient()
    still_edge.add(live_forwarding(client, kind=Kind.TLS))
    visitor = visit(still_edge)
    hello = real_hello(f"SHOP.{DOMAIN}")
    for at in range(len(hello)):
        visitor.sends(hello[at : at + 1])
    assert client.opened[0].written == hello
    assert visitor.value() == b""
    visitor.sends(b"whatever comes next")
    assert client.opened[0].written == hello + b"whatever comes next"
    visitor.resets()
    assert still_edge.clock.getDelayedCalls() == []


def test_bytes_behind_the_hello_are_passed_on(still_edge: Edge) -> None:
    client = FakeClient(slow=True)
    still_edge.add(live_forwarding(client, kind=Kind.TLS))
    visitor = visit(still_edge)
    hello = real_hello(f"shop.{DOMAIN}")
    visitor.sends(hello)
    visitor.sends(b"early data")
    assert visitor.paused
    stream = FakeStream()
    client.asked[0].callback(stream)
    assert not visitor.paused
    assert stream.written == hello + b"early data"
    visitor.resets()
    assert stream.aborted


# -- tlstcp -------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_tlstcp_ends_tls_and_relays_what_is_inside(edge: Edge) -> None:
    live = edge.add(live_forwarding(FakeClient(answer=echo), kind=Kind.TLSTCP))
    said = await say_in_tls(edge.port, f"shop.{DOMAIN}", tls_context(edge.certificate.ca), b"GET / ", b"\n")
    assert said == b"GET / \n"
    await edge.limit.empty()
    assert live.tunnel.tally.open == 0


@pytest_twisted.ensureDeferred
async def test_a_server_that_speaks_first_is_heard(edge: Edge) -> None:
    client = FakeClient()
    banner = FakeStream()
    banner.client_sends(b"220 ready\r\n")
    banner.client_ends()
    client.streams.append(banner)
    edge.add(live_forwarding(client, kind=Kind.TLSTCP))
    trust = tls_context(edge.certificate.ca)
    assert await say_in_tls(edge.port, f"shop.{DOMAIN}", trust) == b"220 ready\r\n"


@pytest_twisted.ensureDeferred
async def test_megabytes_through_tlstcp(edge: Edge) -> None:
    payload = bytes(range(256)) * 16_384

    def answer(stream: FakeStream, data: bytes) -> None:
        if len(stream.written) == len(payload):
            stream.client_sends(bytes(stream.written))
            stream.client_ends()

    edge.add(live_forwarding(FakeClient(answer=answer), kind=Kind.TLSTCP))
    trust = tls_context(edge.certificate.ca)
    assert await say_in_tls(edge.port, f"shop.{DOMAIN}", trust, payload) == payload


@pytest_twisted.ensureDeferred
async def test_the_local_server_of_tlstcp_is_down(edge: Edge) -> None:
    client = FakeClient(refusal=StreamRefused("nobody listens"))
    live = edge.add(live_forwarding(client, kind=Kind.TLSTCP))
    trust = tls_context(edge.certificate.ca)

    def visit() -> bytes:
        with tls_connect(edge.port, f"shop.{DOMAIN}", trust) as connection:
            return read_all(connection)

    assert await in_thread(visit) == b""
    assert live.tunnel.tally.open == 0


# -- ended here: https --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["shop.a.example", "nobody.a.example", "a.example"])
@pytest_twisted.ensureDeferred
async def test_https_is_ended_for_every_other_name(edge: Edge, host: str) -> None:
    edge.add(live_forwarding(policy=HERE))
    edge.add(live_forwarding(kind=Kind.TCP, name="tcp-20001", port=20001))
    said = await say_in_tls(edge.port, host, tls_context(edge.certificate.ca), b"GET / \n")
    assert said == f"web 127.0.0.1 True {host}: GET / \n".encode()


@pytest_twisted.ensureDeferred
async def test_curl_trusts_the_local_authority(edge: Edge) -> None:
    curl = shutil.which("curl")
    assert curl is not None
    command = [curl, "--silent", "--http0.9", "--cacert", str(edge.certificate.ca)]
    command += ["--resolve", f"shop.{DOMAIN}:{edge.port}:127.0.0.1", f"https://shop.{DOMAIN}:{edge.port}/"]
    ran = await in_thread(lambda: subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False))
    assert ran.stdout.startswith(b"web 127.0.0.1 True shop.a.example: GET / HTTP/1.1")


@pytest_twisted.ensureDeferred
async def test_curl_is_shown_the_certificate_of_the_host_that_it_asks_for(
    certificate: LocalCertificate, tmp_path: Path
) -> None:
    put(tmp_path, "shop", f"shop.{DOMAIN}")
    authority = tmp_path / "authority"
    authority.write_bytes(AUTHORITY.certificate.public_bytes(Encoding.PEM))

    def status(edge: Edge, ca: Path, host: str) -> int:
        command = ["curl", "--silent", "--http0.9", "--cacert", str(ca), "--output", str(tmp_path / "said")]
        command += ["--resolve", f"{host}:{edge.port}:127.0.0.1", f"https://{host}:{edge.port}/"]
        return subprocess.run(command, timeout=PATIENCE, check=False).returncode

    def visits(edge: Edge) -> list[int]:
        return [
            status(edge, ca, host)
            for ca, host in (
                (authority, f"shop.{DOMAIN}"),
                (authority, f"other.{DOMAIN}"),
                (certificate.ca, f"other.{DOMAIN}"),
            )
        ]

    async with listening_edge(Edge(certificate, reactor, folder=tmp_path)) as edge:
        # 60: the certificate cannot be checked with that authority.
        assert await in_thread(partial(visits, edge)) == [0, 60, 0]


@pytest_twisted.ensureDeferred
async def test_tls_without_a_name_is_ended_here(edge: Edge) -> None:
    # Python sends no SNI for an address; the certificate has 127.0.0.1.
    said = await say_in_tls(edge.port, "127.0.0.1", tls_context(edge.certificate.ca), b"GET / \n")
    assert said == b"web 127.0.0.1 True None: GET / \n"


@pytest_twisted.ensureDeferred
async def test_a_tcp_tunnel_has_a_name_but_no_tls_of_its_own(edge: Edge) -> None:
    edge.add(live_forwarding(kind=Kind.TCP, name="tcp-20001", port=20001))
    said = await say_in_tls(edge.port, "tcp-20001.a.example", tls_context(edge.certificate.ca), b"GET / \n")
    assert said.startswith(b"web ")


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["h2", "http/1.1"], "http/1.1"), (["h2"], None), ([], None), (["postgresql"], None)]
)
@pytest_twisted.ensureDeferred
async def test_http_1_1_is_what_alpn_agrees_on(edge: Edge, offered: list[str], chosen: str | None) -> None:
    trust = tls_context(edge.certificate.ca, offered)

    def visit() -> str | None:
        with tls_connect(edge.port, "a.example", trust) as connection:
            return connection.selected_alpn_protocol()

    assert await in_thread(visit) == chosen


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        (["h2", "http/1.1"], "h2 127.0.0.1 a.example"),
        (["http/1.1", "h2"], "h2 127.0.0.1 a.example"),
        (["http/1.1"], "web 127.0.0.1 True a.example: GET / \n"),
        ([], "web 127.0.0.1 True a.example: GET / \n"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_h2_goes_on_where_it_was_chosen(h2_edge: Edge, offered: list[str], said: str) -> None:
    trust = tls_context(h2_edge.certificate.ca, offered)
    assert await say_in_tls(h2_edge.port, "a.example", trust, b"GET / \n") == said.encode()


@pytest_twisted.ensureDeferred
async def test_ssh_within_tls_chooses_nothing(h2_edge: Edge) -> None:
    said = await say_in_tls(h2_edge.port, "a.example", tls_context(h2_edge.certificate.ca), b"SSH-2.0-x\n")
    assert said == b"ssh 127.0.0.1: SSH-2.0-x\n"


@pytest_twisted.ensureDeferred
async def test_a_visitor_of_tlstcp_chooses_nothing(h2_edge: Edge) -> None:
    h2_edge.add(live_forwarding(FakeClient(answer=echo), kind=Kind.TLSTCP))
    trust = tls_context(h2_edge.certificate.ca, ["h2", "http/1.1"])

    def visit() -> tuple[str | None, bytes]:
        with tls_connect(h2_edge.port, f"shop.{DOMAIN}", trust) as connection:
            connection.sendall(b"hello\n")
            return connection.selected_alpn_protocol(), read_all(connection)

    assert await in_thread(visit) == (None, b"hello\n")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest_twisted.ensureDeferred
async def test_openssl_resumes_a_session_that_it_kept_in_a_file(edge: Edge, tmp_path: Path, version: str) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-servername", "a.example", version]
    command += ["-CAfile", str(edge.certificate.ca), "-ign_eof"]

    def visit(*more: str) -> str:
        words = [*command, *more]
        return subprocess.run(
            words, input="GET /\n", capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stdout

    kept = str(tmp_path / "session")
    first = await in_thread(lambda: visit("-sess_out", kept))
    again = await in_thread(lambda: visit("-sess_in", kept))
    assert "\nNew, TLS" in first
    assert "\nReused, TLS" in again
    assert "Verify return code: 0 (ok)" in again


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest_twisted.ensureDeferred
async def test_a_session_is_resumed(edge: Edge, version: ssl.TLSVersion) -> None:
    trust = tls_context(edge.certificate.ca)
    trust.maximum_version = trust.minimum_version = version

    def visit() -> bool | None:
        with tls_connect(edge.port, "a.example", trust) as connection:
            connection.sendall(b"GET / \n")
            read_all(connection)
            session = connection.session
        with trust.wrap_socket(connect(edge.port), server_hostname="a.example", session=session) as again:
            again.sendall(b"GET / \n")
            read_all(again)
            return again.session_reused

    assert await in_thread(visit)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest_twisted.ensureDeferred
async def test_old_versions_are_refused_without_a_word_in_the_log(edge: Edge) -> None:
    trust = tls_context(edge.certificate.ca)
    trust.minimum_version = trust.maximum_version = ssl.TLSVersion.TLSv1_1
    trust.set_ciphers("ALL:@SECLEVEL=0")

    def visit() -> str:
        with pytest.raises(ssl.SSLError) as caught:
            tls_connect(edge.port, "a.example", trust)
        return str(caught.value)

    assert "alert" in await in_thread(visit)


# -- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x03\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\xff\xff",
        real_hello("a.example")[:-10] + bytes(10),
        real_hello("a.example") + b"\x16\x03\x03\x00\x20" + bytes(32),
        real_hello("a.example") + b"GET / HTTP/1.1\r\n\r\n",
    ],
)
@pytest_twisted.ensureDeferred
async def test_malformed_tls_is_closed_without_a_word_in_the_log(edge: Edge, said: bytes) -> None:
    assert b"HTTP" not in await say(edge.port, said, fin=True)
    await edge.limit.empty()


@pytest_twisted.ensureDeferred
async def test_a_visitor_who_does_not_trust_us_leaves_no_word_in_the_log(edge: Edge) -> None:
    def visit() -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            tls_connect(edge.port, "a.example", ssl.create_default_context())

    await in_thread(visit)


def test_a_hello_that_never_ends(still_edge: Edge) -> None:
    visitor = visit(still_edge)
    visitor.sends(real_hello("a.example")[:-1])
    still_edge.clock.advance(HELLO)
    assert visitor.aborted
    visitor.closes()
    assert still_edge.clock.getDelayedCalls() == []


def test_a_handshake_that_never_ends(still_edge: Edge) -> None:
    still_edge.add(live_forwarding(kind=Kind.TLSTCP))
    for host in ("a.example", "shop.a.example"):
        visitor = visit(still_edge)
        visitor.sends(real_hello(host))
        assert visitor.value()
        still_edge.clock.advance(HELLO)
        assert visitor.aborted
        visitor.closes()
    assert still_edge.clock.getDelayedCalls() == []


class TlsVisitorInMemory:
    """A visitor of *edge* who has finished a handshake for `shop.a.example`."""

    def __init__(self, edge: Edge, takes: int | None = None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=f"shop.{DOMAIN}")
        self.transport = visit(edge)
        if takes is not None:
            self.transport.writeSomeData = self._take  # type: ignore[attr-defined]
        self._takes = takes or 0
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.flush()
        self.tls.do_handshake()
        self.flush()

    def _take(self, data: bytes) -> int | Exception:
        """As a socket whose buffer is nearly full does; with less than nothing, as one that is lost."""
        if self._takes < 0:
            return CONNECTION_LOST
        self.transport.write(data[: self._takes])
        return min(self._takes, len(data))

    def flush(self) -> None:
        if said := self._outgoing.read():
            self.transport.sends(said)
        self._incoming.write(self.transport.value())
        self.transport.clear()


@pytest.mark.parametrize("takes", [0, 1, 100, 10**6, -1])
def test_flights_come_in_their_order_whatever_the_socket_takes_at_once(still_edge: Edge, takes: int) -> None:
    client = FakeClient()
    still_edge.add(live_forwarding(client, kind=Kind.TLSTCP))
    visitor = TlsVisitorInMemory(still_edge, takes)
    client.opened[0].client_sends(b"220 ready")
    still_edge.clock.advance(0)
    visitor.flush()
    assert visitor.tls.read() == b"220 ready"
    visitor.transport.resets()
    assert still_edge.clock.getDelayedCalls() == []


def test_a_visitor_who_never_answers_the_close_notify(still_edge: Edge) -> None:
    client = FakeClient()
    still_edge.add(live_forwarding(client, kind=Kind.TLSTCP))
    visitor = TlsVisitorInMemory(still_edge).transport
    client.opened[0].client_ends()
    assert not visitor.disconnecting
    still_edge.clock.advance(CLOSE_NOTIFY)
    assert visitor.disconnecting
    visitor.closes()
    assert client.opened[0].closed
    assert still_edge.clock.getDelayedCalls() == []


def test_a_visitor_who_closes_tcp_without_closing_tls(still_edge: Edge) -> None:
    client = FakeClient()
    live = still_edge.add(live_forwarding(client, kind=Kind.TLSTCP))
    visitor = TlsVisitorInMemory(still_edge)
    visitor.tls.write(b"all that I have to say")
    visitor.flush()
    visitor.transport.sends_fin()
    (stream,) = client.opened
    assert stream.written == b"all that I have to say"
    assert stream.closed
    assert not stream.aborted
    assert live.tunnel.tally.open == 0
    assert still_edge.clock.getDelayedCalls() == []


def test_windows_close_through_tls_too(still_edge: Edge) -> None:
    client = FakeClient()
    still_edge.add(live_forwarding(client, kind=Kind.TLSTCP))
    visitor = TlsVisitorInMemory(still_edge).transport
    (stream,) = client.opened
    visitor.is_full()
    assert stream.paused
    visitor.drains()
    assert not stream.paused
    stream.client_is_full()
    assert visitor.paused
    stream.client_drains()
    assert not visitor.paused
    visitor.resets()
    assert still_edge.clock.getDelayedCalls() == []


# -- policy before bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_not_admitted_hears_no_byte_of_tls(still_edge: Edge, kind: Kind) -> None:
    client = FakeClient()
    still_edge.add(live_forwarding(client, kind=kind, policy=ELSEWHERE))
    visitor = visit(still_edge)
    visitor.sends(real_hello(f"shop.{DOMAIN}"))
    assert visitor.aborted
    assert visitor.value() == b""
    assert client.visitors == []
    visitor.closes()
    assert still_edge.clock.getDelayedCalls() == []


@pytest.mark.parametrize("kind", KINDS)
def test_until_the_policy_is_in_force_nothing_is_spoken_or_read(still_edge: Edge, kind: Kind) -> None:
    client = FakeClient()
    live = still_edge.add(live_forwarding(client, kind=kind, in_force=False))
    visitor = visit(still_edge)
    visitor.sends(real_hello(f"shop.{DOMAIN}"))
    if kind is Kind.TLS:
        # What a relay is told before there is a stream, it holds: one short word more.
        visitor.sends(b"more")
    assert visitor.paused
    assert visitor.value() == b""
    assert client.visitors == []
    live.tunnel.life.command_read(Policy())
    live.tunnel.life_changed()
    assert not visitor.paused
    assert bool(visitor.value()) is (kind is not Kind.TLS)
    assert bool(client.visitors) is (kind is Kind.TLS)
    visitor.resets()
    assert still_edge.clock.getDelayedCalls() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_visitor_who_leaves_before_the_policy_is_forgotten(still_edge: Edge, kind: Kind) -> None:
    client = FakeClient()
    live = still_edge.add(live_forwarding(client, kind=kind, in_force=False))
    visitor = visit(still_edge)
    visitor.sends(real_hello(f"shop.{DOMAIN}"))
    visitor.resets()
    live.tunnel.life.command_read(Policy())
    live.tunnel.life_changed()
    assert client.visitors == []
    assert visitor.value() == b""
    assert still_edge.limit.count == 0
    assert still_edge.clock.getDelayedCalls() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_tunnel_that_ends_before_its_policy(still_edge: Edge, kind: Kind) -> None:
    live = still_edge.add(live_forwarding(kind=kind, in_force=False))
    visitor = visit(still_edge)
    visitor.sends(real_hello(f"shop.{DOMAIN}"))
    live.tunnel.life.ended(ClientLeft.of())
    live.tunnel.life_changed()
    # Of an http tunnel the visitor gets a page that says so, hence TLS.
    assert visitor.aborted is (kind is not Kind.HTTP)
    assert bool(visitor.value()) is (kind is Kind.HTTP)
    visitor.resets()
    assert still_edge.clock.getDelayedCalls() == []

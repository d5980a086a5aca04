"""
A real gate with TLS before a real PowerDNS, or before one that misbehaves, spoken to by edges and by strangers.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import SSL4ClientEndpoint, TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.logger import LogLevel
from twisted.web.http_headers import Headers

from pinggy.dns.powerdns.listing import Standing
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.powerdns.zone import PowerDnsZone
from pinggy.dns.zone import HostRecord, NameRecord, NewerOwner, ZoneError
from pinggy.gate.config import ListenSettings, PowerDnsSettings
from pinggy.gate.service import GateService
from pinggy.settings import Secret
from pinggy.wire.proof import Claim, sign
from tests.dns.zones import DOMAIN, record
from tests.support.gates import GRANT_KEY, READ_KEY, Gate, gate_settings, signed, signed_host
from tests.support.logs import logged
from tests.support.odd_http import CUT, SILENCE, OddHttp, response
from tests.support.powerdns import KEY, PowerDns

asynchronous = pytest_twisted.ensureDeferred
ZONE = "/api/v1/servers/localhost/zones/a.example."


class Plain:
    """A gate without TLS, on loopback, for raw requests."""

    def __init__(self, server: PowerDns, folder: Path, **changes: Any) -> None:
        self._dns = server.server.dns
        self.service = GateService(reactor, replace(gate_settings(server, folder), **changes), pytest.fail)
        self.service.startService()

    @property
    def server(self) -> PowerDnsServer:
        return PowerDnsServer(url=self.service.url, dns=self._dns, key=READ_KEY)

    async def ask(
        self, method: str, path: str, body: bytes | None = None, key: Secret | None = None
    ) -> tuple[int, Any]:
        answer = await treq.request(
            method,
            self.service.url + path,
            data=body,
            headers=Headers({} if key is None else {"X-API-Key": [key.reveal()]}),
            persistent=False,
        )
        said = await treq.content(answer)
        return answer.code, json.loads(said) if said else None

    async def raw(self, data: bytes) -> bytes:
        """What is answered to *data* until the gate closes the connection."""
        stranger = Stranger()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.service.port), stranger)
        stranger.transport.write(data)
        return await stranger.over


class Stranger(Protocol):
    transport: Any

    def __init__(self) -> None:
        self.over: Deferred[bytes] = Deferred()
        self.heard = b""

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.over.callback(self.heard)


NewGate = Callable[..., Plain]


@pytest_twisted.async_yield_fixture
async def new_gate(powerdns: PowerDns, tmp_path: Path) -> AsyncIterator[NewGate]:
    gates = []

    def new(**changes: Any) -> Plain:
        gates.append(Plain(powerdns, tmp_path / "state", **changes))
        return gates[-1]

    yield new
    for each in gates:
        await each.service.stopService()


NewZone = Callable[..., PowerDnsZone]


@pytest_twisted.async_yield_fixture
async def new_zone() -> AsyncIterator[NewZone]:
    zones = []

    def new(*servers: PowerDnsServer, **options: Any) -> PowerDnsZone:
        zones.append(PowerDnsZone(reactor, DOMAIN, servers, **options))
        return zones[-1]

    yield new
    for each in zones:
        await each.close()


def patch_of(one: NameRecord, **changes: Any) -> bytes:
    rrset = {
        "name": f"{one.name}.",
        "type": "CNAME",
        "ttl": 10,
        "changetype": "REPLACE",
        "records": [{"content": f"{one.target}.", "disabled": False}],
        "proof": one.proof,
    }
    return json.dumps({"rrsets": [{**rrset, **changes}]}).encode()


@pytest.fixture
def mortal() -> Iterator[PowerDns]:
    """A server of the test's own, to be killed."""
    server = PowerDns()
    server.start()
    server.make_zone()
    yield server
    server.stop()


# -- edges ----------------------------------------------------------------------------------------------------------


@asynchronous
async def test_two_edges_fence_each_other_and_the_core_lists(
    powerdns: PowerDns, new_zone: NewZone, tmp_path: Path
) -> None:
    gate = Gate(powerdns, tmp_path)
    eu, ap = new_zone(replace(gate.server, key=None)), new_zone(replace(gate.server, key=None))
    core = new_zone(gate.server)
    await eu.publish([signed(record(epoch=1))])
    await eu.confirm(record(epoch=1))
    await ap.publish([signed(record(target="ap", epoch=2))])
    with pytest.raises(NewerOwner, match=r"blog\.a\.example"):
        await eu.publish([signed(record(epoch=1))])
    await eu.withdraw([signed(record(epoch=1))])
    await ap.confirm(record(target="ap", epoch=2))
    await core.publish_hosts([signed_host(HostRecord(name="eu.a.example", addresses=("::1", "192.0.2.1"), epoch=1))])
    stands = await core.contents(gate.server)
    assert stands["blog.a.example"] == Standing(target="ap.a.example")
    assert stands["eu.a.example"] == Standing(addresses=("192.0.2.1", "::1"))
    with pytest.raises(ZoneError, match="HTTP status 401: The key for reading is missing or wrong"):
        await eu.contents(eu.servers[0])
    await core.withdraw([signed(NameRecord(name="blog.a.example", target="", epoch=3))])
    await core.publish_hosts([signed_host(HostRecord(name="eu.a.example", addresses=(), epoch=2))])
    assert set(await core.contents(gate.server)) == {"a.example", "ns1.a.example"}
    await gate.stop()


@asynchronous
async def test_epochs_outlive_a_restart(new_gate: NewGate, new_zone: NewZone) -> None:
    gate = new_gate()
    zone = new_zone(gate.server)
    await zone.publish([signed(record(epoch=5)), signed(record("gone", epoch=5))])
    await zone.withdraw([signed(record("gone", epoch=5))])
    await gate.service.stopService()
    zone = new_zone(new_gate().server)
    for late in (record(epoch=4), record("gone", epoch=5)):
        with pytest.raises(NewerOwner):
            await zone.publish([signed(late)])
    await zone.publish([signed(record(epoch=5)), signed(record("gone", epoch=6))])


@asynchronous
async def test_owners_who_race_leave_the_newest(new_gate: NewGate, new_zone: NewZone, powerdns: PowerDns) -> None:
    gate = new_gate()
    edges = [new_zone(gate.server) for _ in range(4)]
    asked = []
    for epoch in (3, 9, 1, 7, 10, 2, 8, 4, 6, 5):
        edge = edges[epoch % 4]
        asked.append(edge.publish([signed(record(target=f"edge{epoch}", epoch=epoch))]))
        asked.append(edge.withdraw([signed(record(target=f"edge{epoch}", epoch=epoch))]) if epoch < 10 else asked[-1])
    late: list[Any] = []
    await gatherResults([each.addErrback(late.append) for each in dict.fromkeys(asked)])
    assert all(each.check(NewerOwner) for each in late)
    assert (await edges[0].contents(gate.server))["blog.a.example"] == Standing(target="edge10.a.example")


@asynchronous
async def test_a_false_proof_harms_nobody_else_and_is_logged_once_in_a_while(
    new_gate: NewGate, new_zone: NewZone
) -> None:
    zone = new_zone(new_gate().server)
    forged = signed(record("forged"), Ed25519PrivateKey.generate())
    borrowed = replace(record("other"), proof=signed(record("good")).proof)
    with logged("pinggy.gate", LogLevel.warn) as lines:
        for _ in range(5):
            with pytest.raises(ZoneError, match=r"does not take forged\.a\.example: The proof is not signed"):
                await zone.publish([forged, signed(record("good"))])
        with pytest.raises(ZoneError, match="something else"):
            await zone.publish([borrowed])
        with pytest.raises(ZoneError, match="no one proof"):
            await zone.publish([record("bare")])
    (line,) = lines
    assert line.startswith("refused a change of forged.a.example from 127.0.0.1: The proof is not signed")
    await zone.confirm(record("good"))
    assert zone.state(zone.servers[0]).up


@asynchronous
async def test_a_replay_is_of_no_use(new_gate: NewGate, new_zone: NewZone) -> None:
    gate = new_gate()
    old = patch_of(signed(record(epoch=1)))
    assert await gate.ask("PATCH", ZONE, old) == (204, None)
    removal = patch_of(signed(record(epoch=1)), changetype="DELETE")
    assert await gate.ask("PATCH", ZONE, removal) == (204, None)
    stale = {"name": "blog.a.example.", "why": "a newer owner has the name", "stale": True}
    assert await gate.ask("PATCH", ZONE, old) == (200, {"refused": [stale]})
    assert await gate.ask("PATCH", ZONE, patch_of(signed(record(epoch=2)))) == (204, None)
    assert await gate.ask("PATCH", ZONE, old) == (200, {"refused": [stale]})
    assert await gate.ask("PATCH", ZONE, removal) == (200, {"refused": [stale]})
    zone = new_zone(gate.server)
    await zone.confirm(record(epoch=2))


# -- PowerDNS behind it ---------------------------------------------------------------------------------------------


@asynchronous
async def test_what_powerdns_did_not_take_may_be_asked_again(
    mortal: PowerDns, new_zone: NewZone, tmp_path: Path
) -> None:
    gate = Plain(mortal, tmp_path)
    zone = new_zone(gate.server)
    with logged("pinggy.gate") as lines:
        await zone.publish([signed(record("there"))])
        mortal.kill()
        for _ in range(2):
            assert (await gate.ask("PATCH", ZONE, patch_of(signed(record()))))[0] == 502
        with pytest.raises(ZoneError, match="HTTP status 502: PowerDNS: Connection refused"):
            await zone.withdraw([signed(record("there"))])
        assert await gate.ask("GET", "/healthz") == (502, {"error": "PowerDNS: Connection refused"})
        back: Deferred[PowerDnsServer] = Deferred()
        zone.on_return = back.callback
        mortal.start()
        await back
        await zone.publish([signed(record())])
        await zone.withdraw([signed(record("there"))])
        await zone.confirm(record())
        assert "there.a.example" not in await zone.contents(gate.server)
    assert lines[0] == "PowerDNS takes no changes: Connection refused"
    assert lines[1:] == ["PowerDNS takes changes again"]
    await zone.close()
    await gate.service.stopService()


@pytest.mark.parametrize(
    "said", [response(500, b"oops"), response(401, b""), b"garbage\r\n\r\n" + CUT, CUT, SILENCE], ids=str
)
@asynchronous
async def test_whatever_powerdns_does_is_a_502_and_no_more(new_gate: NewGate, said: bytes) -> None:
    odd = OddHttp(lambda _: said)
    settings = PowerDnsSettings(key=KEY, url=odd.server("127.0.0.1:53").url, timeout=0.3)
    gate = new_gate(powerdns=settings)
    for body in (patch_of(signed(record())), patch_of(signed(record()), changetype="DELETE")):
        status, answer = await gate.ask("PATCH", ZONE, body)
        assert status == 502
        assert answer["error"].startswith("PowerDNS: ")
    await odd.stop()


@asynchronous
async def test_a_record_that_powerdns_refuses_is_refused_alone(new_gate: NewGate, new_zone: NewZone) -> None:
    zone = new_zone(new_gate().server)
    await zone.publish_hosts([signed_host(HostRecord(name="eu.a.example", addresses=("192.0.2.1",), epoch=1))])
    with pytest.raises(ZoneError, match=r"does not take eu\.a\.example: .*Conflicts with pre-existing RRset"):
        await zone.publish([signed(record("eu", target="us", epoch=2)), signed(record("good"))])
    await zone.confirm(record("good"))


# -- strangers ------------------------------------------------------------------------------------------------------


@asynchronous
async def test_nothing_else_is_there(new_gate: NewGate) -> None:
    gate = new_gate()
    assert await gate.ask("GET", "/healthz") == (200, {"ok": True})
    for method, path, status in (
        ("GET", "/", 404),
        ("GET", "/api/v1/servers/localhost/zones", 404),
        ("PATCH", "/api/v1/servers/localhost/zones/b.example.", 404),
        ("GET", "/api/v1/servers/localhost/config", 404),
        ("DELETE", ZONE, 405),
        ("PUT", ZONE, 405),
        ("POST", "/healthz", 405),
        ("GET", ZONE, 401),
    ):
        assert (await gate.ask(method, path))[0] == status, (method, path)
    assert (await gate.ask("GET", ZONE, key=Secret("wrong")))[0] == 401
    assert (await gate.ask("GET", ZONE, key=READ_KEY))[0] == 200
    for body in (b"", b"[" * 100_000, b'{"rrsets": 7}'):
        status, answer = await gate.ask("PATCH", ZONE, body)
        assert (status, set(answer)) == (400, {"error"})
    assert await gate.ask("PATCH", ZONE, b'{"rrsets": []}') == (204, None)


@asynchronous
async def test_with_a_key_for_writing_a_proof_is_not_enough(new_gate: NewGate) -> None:
    key = Secret("the-key-for-writing")
    gate = new_gate(key=key)
    body = patch_of(signed(record()))
    assert (await gate.ask("PATCH", ZONE, body))[0] == 401
    assert (await gate.ask("PATCH", ZONE, body, READ_KEY))[0] == 401
    assert (await gate.ask("PATCH", ZONE, body, key))[0] == 204
    assert (await gate.ask("GET", ZONE, key=key))[0] == 401


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (b"Content-Length: 1048577", b"HTTP/1.1 413 "),
        (b"Content-Length: 99999999999999", b"HTTP/1.1 413 "),
        (b"Transfer-Encoding: chunked", b"HTTP/1.1 411 "),
        (b"Content-Length: -1", b"HTTP/1.1 400 "),
        (b"X: " + b"x" * 100_000, b""),
        (b"\r\n".join(b"X-%d: x" % number for number in range(2000)), b"HTTP/1.1 400 "),
    ],
)
@asynchronous
async def test_what_is_too_much_is_not_read(new_gate: NewGate, head: bytes, answer: bytes) -> None:
    gate = new_gate()
    said = await gate.raw(b"PATCH " + ZONE.encode() + b" HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
    assert said.startswith(answer)


@asynchronous
async def test_behind_tls_it_is_the_same(powerdns: PowerDns, tmp_path: Path) -> None:
    gate = Gate(powerdns, tmp_path)
    endpoint = SSL4ClientEndpoint(reactor, "127.0.0.1", gate.service.port, CertificateOptions())
    refused, idle = Stranger(), Stranger()
    for each in (refused, idle):
        await connectProtocol(endpoint, each)
    refused.transport.write(b"PATCH /x HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n")
    assert (await refused.over).startswith(b"HTTP/1.1 413 ")
    await gate.stop()
    assert await idle.over == b""


@asynchronous
async def test_garbage_ends_its_connection_alone(new_gate: NewGate) -> None:
    gate = new_gate()
    for garbage in (b"\0" * 70_000, b"SSH-2.0-x\r\n\r\n", b"GET\r\n\r\n", bytes(range(256)) * 300):
        await gate.raw(garbage)
    assert await gate.ask("GET", "/healthz") == (200, {"ok": True})


@asynchronous
async def test_of_too_many_connections_the_quietest_gives_way(new_gate: NewGate) -> None:
    gate = new_gate()
    quiet = [Stranger() for _ in range(300)]
    for each in quiet:
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", gate.service.port), each)
    for each in quiet[:40]:
        await each.over
    assert await gate.ask("GET", "/healthz") == (200, {"ok": True})
    await gate.service.stopService()
    for each in quiet[40:]:
        await each.over


@asynchronous
async def test_a_claim_of_another_zone_is_not_written(new_gate: NewGate) -> None:
    gate = new_gate()
    claim = Claim(name="www.b.example", epoch=1, target="eu.a.example")
    outside = NameRecord(name=claim.name, target=claim.target, epoch=1, proof=sign(claim, GRANT_KEY))
    status, answer = await gate.ask("PATCH", ZONE, patch_of(outside))
    assert (status, answer["refused"][0]["stale"]) == (200, False)


# -- start and stop -------------------------------------------------------------------------------------------------


@asynchronous
async def test_a_port_in_use_names_the_setting_and_leaves_nothing(powerdns: PowerDns, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said: list[str] = []
        gate = GateService(reactor, gate_settings(powerdns, tmp_path, listen=ListenSettings(port=port)), said.append)
        gate.startService()
        (line,) = said
        assert line == f"The setting zone.listen.port = {port} is of no use, on 127.0.0.1: Address already in use."
        await gate.stopService()
    again = Plain(powerdns, tmp_path)
    await again.service.stopService()


@asynchronous
async def test_a_state_of_no_use_is_named(powerdns: PowerDns, tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "file").write_text("")
    first = Plain(powerdns, tmp_path / "state")
    for state in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "state"):
        GateService(reactor, gate_settings(powerdns, state), said.append).startService()
    assert [each.partition(" is of no use: ")[2] for each in said] == [
        "File exists.",
        "Not a directory.",
        f"{tmp_path}/state/epochs.sqlite is of no use: database is locked.",
    ]
    assert all(each.startswith("The setting zone.state") for each in said)
    await first.service.stopService()


@asynchronous
async def test_a_stop_answers_what_is_in_hand(powerdns: PowerDns, tmp_path: Path, new_zone: NewZone) -> None:
    gate = Plain(powerdns, tmp_path)
    zone = new_zone(gate.server)
    asked: list[Deferred[None]] = [zone.publish([signed(record(f"name{number}"))]) for number in range(20)]
    await asked[0]
    await gate.service.stopService()
    outcomes: list[Any] = []
    for each in asked[1:]:
        each.addErrback(outcomes.append)
        await each
    assert all(each.check(ZoneError) for each in outcomes)

"""
The zone over real PowerDNS servers, and over servers that misbehave.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.utils import getProcessOutputAndValue
from twisted.logger import LogLevel

from pinggy.dns.powerdns.listing import Standing
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.powerdns.zone import PowerDnsZone
from pinggy.dns.zone import HostRecord, NameRecord, NewerOwner, ZoneError
from pinggy.settings import Secret, SettingsError
from tests.dns.zones import DOMAIN, record
from tests.support.gates import Gate, signed
from tests.support.logs import logged
from tests.support.odd_http import CUT, SILENCE, OddHttp, response
from tests.support.powerdns import PowerDns, rrset

asynchronous = pytest_twisted.ensureDeferred
LOG = "pinggy.dns.powerdns.health"
EU = Standing(target="eu.a.example")


@pytest.fixture(scope="module")
def second_of_module() -> Iterator[PowerDns]:
    server = PowerDns()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def second(second_of_module: PowerDns) -> PowerDns:
    second_of_module.make_zone()
    return second_of_module


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


@pytest_twisted.async_yield_fixture
async def odd() -> AsyncIterator[Callable[[bytes], OddHttp]]:
    servers = []

    def new(said: bytes) -> OddHttp:
        servers.append(OddHttp(lambda _: said))
        return servers[-1]

    yield new
    for each in servers:
        await each.stop()


async def dig(server: PowerDns, name: str, kind: str = "CNAME") -> str:
    words = ("@127.0.0.1", "-p", str(server.dns_port), "+tries=2", "+time=5", "+norecurse", "+short", name, kind)
    out, err, status = await getProcessOutputAndValue("/usr/bin/dig", words, reactor=reactor)
    assert status == 0, err
    return " ".join(out.decode().split())


async def refused(waiting: Deferred[Any]) -> str:
    with pytest.raises(ZoneError) as caught:
        await waiting
    return str(caught.value)


def returned(zone: PowerDnsZone) -> Deferred[PowerDnsServer]:
    """Fires with the next server that is back."""
    back: Deferred[PowerDnsServer] = Deferred()
    zone.on_return = back.callback
    return back


# -- as it should be ------------------------------------------------------------------------------------------------


@asynchronous
async def test_when_it_is_confirmed_every_server_answers_though_it_had_said_no(
    powerdns: PowerDns, second: PowerDns, new_zone: NewZone
) -> None:
    zone = new_zone(powerdns.server, second.server, ttl=17)
    for number in range(5):
        one = record(f"name{number}")
        for server in (powerdns, second):
            assert await dig(server, one.name) == ""
        await zone.publish([one])
        await zone.confirm(one)
        for server in (powerdns, second):
            assert await dig(server, one.name) == "eu.a.example."
        await zone.withdraw([one])
        assert await dig(powerdns, one.name) == ""
        assert "NXDOMAIN" in await refused(zone.confirm(one))
    assert all(zone.state(each).up for each in zone.servers)


@asynchronous
async def test_each_server_may_be_asked_for_itself(powerdns: PowerDns, second: PowerDns, new_zone: NewZone) -> None:
    zone = new_zone(powerdns.server, second.server)
    await zone.publish([record("blog")], only=second.server)
    await zone.confirm_at(second.server, record("blog"))
    assert "NXDOMAIN" in await refused(zone.confirm_at(powerdns.server, record("blog")))


@asynchronous
async def test_hosts_have_just_the_addresses_published(powerdns: PowerDns, new_zone: NewZone) -> None:
    zone = new_zone(powerdns.server)

    async def host(*addresses: str, epoch: int) -> tuple[str, str]:
        await zone.publish_hosts([HostRecord(name="eu.a.example", addresses=addresses, epoch=epoch)])
        return await dig(powerdns, "eu.a.example", "A"), await dig(powerdns, "eu.a.example", "AAAA")

    assert await host("192.0.2.1", "2001:DB8::1", epoch=1) == ("192.0.2.1", "2001:db8::1")
    assert await host("2001:db8::2", epoch=2) == ("", "2001:db8::2")
    assert await host("192.0.2.3", epoch=3) == ("192.0.2.3", "")
    with pytest.raises(NewerOwner):
        await host("192.0.2.9", epoch=2)
    assert await host(epoch=4) == ("", "")
    with pytest.raises(ZoneError, match="does not appear to be"):
        await host("nonsense", epoch=5)


@asynchronous
async def test_what_stands_is_listed_also_what_others_wrote(
    powerdns: PowerDns, second: PowerDns, new_zone: NewZone
) -> None:
    zone = new_zone(powerdns.server, second.server)
    await zone.publish([record("one"), record("two")])
    second.write([rrset("two.a.example.", "CNAME", "evil.example."), rrset("three.a.example.", "A", "192.0.2.3")])
    first_has, second_has = [dict(await zone.contents(each)) for each in zone.servers]
    assert first_has["one.a.example"] == first_has["two.a.example"] == EU
    assert second_has["two.a.example"] == Standing(target="evil.example")
    assert second_has["three.a.example"] == Standing(addresses=("192.0.2.3",))
    await zone.publish([record("two")], only=second.server)
    assert (await zone.contents(second.server))["two.a.example"] == EU


@asynchronous
async def test_what_a_server_refuses_fails_alone(powerdns: PowerDns, new_zone: NewZone) -> None:
    zone = new_zone(powerdns.server)
    await zone.publish_hosts([HostRecord(name="eu.a.example", addresses=("192.0.2.1",), epoch=1)])
    others = [zone.publish([record(f"name{number}")]) for number in range(20)]
    said = await refused(zone.publish([record("before"), record("eu", target="us"), record("after")]))
    assert "does not take eu.a.example: RRset eu.a.example. IN CNAME: Conflicts with pre-existing RRset" in said
    await gatherResults(others)
    stands = await zone.contents(powerdns.server)
    assert [stands[f"{each}.a.example"] for each in ("before", "after", "name7")] == [EU] * 3
    assert zone.state(powerdns.server).up


@asynchronous
async def test_many_at_once_are_all_there(powerdns: PowerDns, new_zone: NewZone) -> None:
    zone = new_zone(powerdns.server)
    records = [record(f"name{number}") for number in range(1200)]
    await gatherResults([*(zone.publish([each]) for each in records[:200]), zone.publish(records[200:])])
    await gatherResults([zone.confirm(each) for each in records[::100]])
    await zone.withdraw(records[1:])
    assert [each for each in await zone.contents(powerdns.server) if each.startswith("name")] == ["name0.a.example"]


# -- servers that come and go ---------------------------------------------------------------------------------------


@asynchronous
async def test_a_server_that_is_killed_is_left_out_and_back_when_it_is_back(
    powerdns: PowerDns, new_zone: NewZone
) -> None:
    mortal = PowerDns()
    mortal.start()
    mortal.make_zone()
    try:
        zone = new_zone(powerdns.server, mortal.server)
        await zone.publish([record("before")])
        mortal.kill()
        with logged(LOG) as lines:
            for number in range(3):
                await zone.publish([record(f"name{number}")])
                await zone.confirm(record(f"name{number}"))
            (line,) = lines
            assert line.endswith("is down and not waited for: Connection refused")
            assert str(mortal.server) in line
            state = zone.state(mortal.server)
            assert (state.up, state.why) == (False, "Connection refused")
            assert "cannot be listed: Connection refused" in await refused(zone.contents(mortal.server))
            back = returned(zone)
            mortal.start()
            assert await back == mortal.server
            assert "is back after" in lines[1]
        # What it missed is not its record to confirm.
        await zone.confirm(record("name0"))
        stands = await zone.contents(mortal.server)
        assert "before.a.example" in stands
        assert "name0.a.example" not in stands
        await zone.publish([record("after")])
        await zone.confirm(record("after"))
        assert await dig(mortal, "after.a.example") == "eu.a.example."
    finally:
        mortal.stop()


@asynchronous
async def test_with_none_up_each_is_named_and_the_first_that_is_back_is_enough(new_zone: NewZone) -> None:
    mortals = [PowerDns(), PowerDns()]
    try:
        for each in mortals:
            each.start()
            each.make_zone()
            each.kill()
        zone = new_zone(*(each.server for each in mortals))
        for _ in range(2):
            said = await refused(zone.publish([record()]))
            assert said.startswith("No DNS server is up: ")
            for each in mortals:
                assert f"{each.server}: Connection refused" in said
        assert "No DNS server is up" in await refused(zone.confirm(record()))
        assert "No DNS server is up" in await refused(zone.withdraw([record()]))
        back = returned(zone)
        mortals[1].start()
        await back
        await zone.publish([record(epoch=2)])
        await zone.confirm(record(epoch=2))
    finally:
        for each in mortals:
            each.stop()


@asynchronous
async def test_one_that_hangs_is_given_up(powerdns: PowerDns, second: PowerDns, new_zone: NewZone) -> None:
    zone = new_zone(powerdns.server, second.server, timeout=0.5)
    second.freeze()
    try:
        await zone.publish([record()])
        assert zone.state(second.server).why == "it does not answer within 0.5 seconds"
        await zone.confirm(record())
    finally:
        back = returned(zone)
        second.thaw()
    await back


@asynchronous
async def test_one_that_takes_the_record_and_answers_no_question_is_left_out(
    powerdns: PowerDns, second: PowerDns, new_zone: NewZone
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        dns = f"127.0.0.1:{silent.getsockname()[1]}"
        mute = PowerDnsServer(url=second.server.url, dns=dns, key=second.server.key, gate=False)
        zone = new_zone(powerdns.server, mute, timeout=0.3)
        await zone.publish([record()])
        with logged(LOG, LogLevel.warn) as lines:
            await zone.confirm(record())
        assert "does not answer" in lines[0]
        assert not zone.state(mute).up
        alone = new_zone(mute, timeout=0.3)
        await alone.publish([record()])
        assert "does not answer" in await refused(alone.confirm(record()))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (response(500, b"oops"), "it answers with HTTP status 500"),
        (response(500, b'{"error": "{disk} full"}'), "it answers with HTTP status 500: {disk} full"),
        (response(401, b"Unauthorized"), "it answers with HTTP status 401"),
        (response(404, b'{"error": "Could not find domain"}'), "HTTP status 404: Could not find domain"),
        (response(302, b"", b"Location: http://127.0.0.1:1/"), "it answers with HTTP status 302"),
        (response(200, b"<html>"), "it answers with HTTP status 200"),
        (response(500, b"[" * 100_000), "it answers with HTTP status 500"),
        (response(500, b"x" * 2_000_000), "it answers more than"),
        (b"SSH-2.0-OpenSSH_9.2\r\n" + CUT, "it answers nonsense"),
        (b"\0" * 70_000 + CUT, "it cut the connection"),
        (CUT, "it cut the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf" + CUT, "it cut the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Len" + CUT, "it cut the connection"),
        (SILENCE, "it does not answer within 0.5 seconds"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "it does not answer within 0.5 seconds"),
    ],
)
@asynchronous
async def test_one_that_misbehaves_is_left_out(
    powerdns: PowerDns, new_zone: NewZone, odd: Callable[[bytes], OddHttp], said: bytes, why: str
) -> None:
    strange = odd(said).server(powerdns.server.dns)
    zone = new_zone(strange, powerdns.server, timeout=0.5)
    with logged(LOG, LogLevel.warn) as lines:
        await zone.publish([record()])
        await zone.confirm(record())
        await zone.publish([record("more")])
    (line,) = lines
    assert why in line
    assert why in zone.state(strange).why
    if "does not answer" not in why:
        assert "cannot be listed" in await refused(zone.contents(strange))


@asynchronous
async def test_a_gate_that_answers_nonsense_is_left_out(
    powerdns: PowerDns, new_zone: NewZone, odd: Callable[[bytes], OddHttp]
) -> None:
    for body in (b"", b"[]", b'{"refused": 7}', b'{"refused": [{"name": 7}]}', b'{"refused": ' + b"[" * 9999):
        strange = odd(response(200, body)).server(powerdns.server.dns, gate=True)
        said = await refused(new_zone(strange).publish([record()]))
        assert said.endswith("it answers what is not JSON of a zone gate.")


@asynchronous
async def test_the_key_is_for_that_server_alone(
    powerdns: PowerDns, new_zone: NewZone, odd: Callable[[bytes], OddHttp]
) -> None:
    other = odd(response(204, b""))
    url = other.server(powerdns.server.dns).url
    strange = odd(response(307, b"", b"Location: " + url.encode() + b"/x"))
    assert "HTTP status 307" in await refused(new_zone(strange.server(powerdns.server.dns)).publish([record()]))
    assert other.requests == []
    assert strange.requests != []


@asynchronous
async def test_one_that_forgot_its_zone_or_key_is_left_out(powerdns: PowerDns, new_zone: NewZone) -> None:
    wrong = PowerDnsServer(url=powerdns.server.url, dns=powerdns.server.dns, key=Secret("wrong"), gate=False)
    assert "HTTP status 401" in await refused(new_zone(wrong).publish([record()]))
    elsewhere = PowerDnsZone(reactor, "b.example", [powerdns.server])
    said = await refused(elsewhere.publish([NameRecord(name="x.b.example", target="eu.b.example", epoch=1)]))
    assert "HTTP status 404" in said
    await elsewhere.close()


@asynchronous
async def test_a_certificate_of_another_authority_is_not_trusted(
    powerdns: PowerDns, new_zone: NewZone, tmp_path: Path
) -> None:
    gate, other = Gate(powerdns, tmp_path / "one"), Gate(powerdns, tmp_path / "other")
    false = PowerDnsServer(url=gate.server.url, dns=gate.server.dns, ca=other.server.ca)
    said = await refused(new_zone(false).publish([signed(record())]))
    assert "its certificate or TLS is not to be trusted" in said
    system = PowerDnsServer(url=gate.server.url, dns=gate.server.dns)
    said = await refused(new_zone(system).publish([signed(record())]))
    assert "its certificate or TLS is not to be trusted" in said
    await gate.stop()
    await other.stop()


# -- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"url": "http://ns1.example:8081"}, "url .*has no TLS"),
        ({"url": "http://192.0.2.1:8081"}, "url .*has no TLS"),
        ({"url": "ftp://127.0.0.1"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://user:password@ns1.example"}, "url"),
        ({"url": "https://ns1.example/path"}, "url"),
        ({"url": "https://ns1.example:x"}, "url"),
        ({"url": "https://[::1"}, "url"),
        ({"url": ""}, "url"),
        ({"dns": "ns1.example:53"}, "dns"),
        ({"dns": "192.0.2.1"}, "dns"),
        ({"dns": "192.0.2.1:0"}, "dns"),
        ({"dns": "192.0.2.1:65536"}, "dns"),
        ({"gate": False}, "key is missing"),
        ({"key": Secret("two\nlines")}, "key has characters"),
    ],
)
def test_settings_of_no_use_are_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        PowerDnsServer(**{"url": "https://ns1.example:8443", "dns": "192.0.2.1:53", **change})


def test_settings_of_use() -> None:
    for url in ("http://127.0.0.1:8081", "http://[::1]:8081", "http://localhost:8081/", "https://192.0.2.1"):
        PowerDnsServer(url=url, dns="[::1]:53")


def test_authorities_of_no_use_are_named(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"garbage")
    for path, named in ((tmp_path / "missing", "cannot be read: No such file"), (garbage, "no certificate in PEM")):
        server = PowerDnsServer(url="https://ns1.example", dns="192.0.2.1:53", ca=path)
        with pytest.raises(SettingsError, match=named):
            PowerDnsZone(reactor, DOMAIN, [server])

"""
``pinggy zone init`` against real PowerDNS servers, and against what only looks like one.
"""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rdatatype
import pytest

from tests.cli.conftest import Outcome, Pinggy
from tests.cli.fake_core import FakeCore
from tests.support.powerdns import KEY, PowerDns, rrset

DOMAINS = (f"init{number}.example" for number in itertools.count())


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[PowerDns, PowerDns]]:
    both = (PowerDns(), PowerDns())
    for each in both:
        each.start()
    yield both
    for each in both:
        each.stop()


@pytest.fixture
def domain() -> str:
    """One that no test has made yet."""
    return next(DOMAINS)


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    file = tmp_path / "powerdns.key"
    file.write_text(KEY.reveal() + "\n")
    return str(file)


def words(domain: str, key_file: str, *urls: str) -> tuple[str, ...]:
    servers = itertools.chain.from_iterable(("--server", url) for url in urls)
    name_servers = ("--ns", f"ns1.{domain}=192.0.2.1", "--ns", f"ns1.{domain}=2001:db8::1", "--ns", "ns.example.net")
    return ("zone", "init", domain, *servers, "--key-file", key_file, *name_servers)


def rows(outcome: Outcome) -> list[list[str]]:
    return [line.split(maxsplit=2) for line in outcome.out.splitlines()[1:]]


def answered(server: PowerDns, name: str, kind: str) -> list[str]:
    """What the server itself says over DNS, with the SOA of a negative answer."""
    response = dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", port=server.dns_port, timeout=5)
    return sorted(f"{each.ttl} {record}" for each in response.answer or response.authority for record in each)


def zone_of(server: PowerDns, domain: str) -> Any:
    return server.call("GET", f"/{domain}.")


def write(server: PowerDns, domain: str, *rrsets: dict[str, Any]) -> None:
    server.call("PATCH", f"/{domain}.", {"rrsets": rrsets})


def test_a_new_zone_is_the_same_on_all_servers(
    pinggy: Pinggy, servers: tuple[PowerDns, PowerDns], domain: str, key_file: str
) -> None:
    urls = [each.server.url for each in servers]
    outcome = pinggy(*words(domain, key_file, *urls), "--address", "192.0.2.7", "--hostmaster", "dns.admin@example.net")
    assert outcome.status == 0
    assert rows(outcome) == [[url, "created", "-"] for url in urls]
    assert outcome.err.splitlines() == [
        f"The zone above {domain} must hold, so that resolvers find it:",
        f"{domain}. 3600 IN NS ns1.{domain}.",
        f"{domain}. 3600 IN NS ns.example.net.",
        f"ns1.{domain}. 3600 IN A 192.0.2.1",
        f"ns1.{domain}. 3600 IN AAAA 2001:db8::1",
    ]
    for each in servers:
        zone = zone_of(each, domain)
        assert (zone["kind"], zone["soa_edit_api"], zone["api_rectify"]) == ("Native", "INCREASE", False)
        soa = f"ns1.{domain}. dns\\.admin.example.net. {zone['serial']} 3600 600 604800 5"
        assert answered(each, domain, "SOA") == [f"3600 {soa}"]
        assert answered(each, domain, "NS") == ["3600 ns.example.net.", f"3600 ns1.{domain}."]
        assert answered(each, domain, "A") == ["60 192.0.2.7"]
        assert answered(each, f"ns1.{domain}", "AAAA") == ["3600 2001:db8::1"]
        assert answered(each, f"nothing.{domain}", "A") == [f"5 {soa}"]


def test_repeated_it_changes_nothing(
    pinggy: Pinggy, servers: tuple[PowerDns, PowerDns], domain: str, key_file: str
) -> None:
    command = words(domain, key_file, servers[0].server.url)
    pinggy(*command, "--address", "192.0.2.7")
    before = zone_of(servers[0], domain)
    for more in ((), ("--address", "192.0.2.7")):
        outcome = pinggy(*command, *more)
        assert (outcome.status, outcome.err) == (0, "")
        assert rows(outcome) == [[servers[0].server.url, "unchanged", "-"]]
    assert zone_of(servers[0], domain) == before


def test_what_the_zone_holds_of_itself_is_put_right_and_tunnels_stay(
    pinggy: Pinggy, servers: tuple[PowerDns, PowerDns], domain: str, key_file: str
) -> None:
    server = servers[0]
    server.call("POST", "", {"name": f"{domain}.", "kind": "Master", "nameservers": ["ns1.elsewhere."]})
    tunnels = [rrset(f"blog.{domain}.", "CNAME", f"eu.{domain}."), rrset(f"eu.{domain}.", "A", "192.0.2.50")]
    write(
        server,
        domain,
        *tunnels,
        rrset(f"{domain}.", "SOA", "ns1.elsewhere. me.elsewhere. 5 3600 600 604800 3600"),
        rrset(f"{domain}.", "A", "192.0.2.98"),
        rrset(f"ns1.{domain}.", "A", "192.0.2.99"),
    )
    before = zone_of(server, domain)
    outcome = pinggy(*words(domain, key_file, server.server.url))
    assert outcome.status == 0
    assert rows(outcome) == [
        [
            server.server.url,
            "changed",
            f"settings, SOA {domain}, NS {domain}, A ns1.{domain}, AAAA ns1.{domain}",
        ]
    ]
    after = zone_of(server, domain)
    assert after["serial"] > before["serial"]
    assert (after["kind"], after["soa_edit_api"], after["api_rectify"]) == ("Native", "INCREASE", False)
    stands = {
        (each["name"], each["type"]): [record["content"] for record in each["records"]] for each in after["rrsets"]
    }
    assert stands[f"blog.{domain}.", "CNAME"] == [f"eu.{domain}."]
    assert stands[f"eu.{domain}.", "A"] == ["192.0.2.50"]
    assert stands[f"{domain}.", "A"] == ["192.0.2.98"], "no address of the domain was said"
    assert stands[f"ns1.{domain}.", "A"] == ["192.0.2.1"]
    assert rows(pinggy(*words(domain, key_file, server.server.url)))[0][1] == "unchanged"


def test_an_address_that_is_gone_is_taken_away(
    pinggy: Pinggy, servers: tuple[PowerDns, PowerDns], domain: str, key_file: str
) -> None:
    command = words(domain, key_file, servers[0].server.url)
    pinggy(*command, "--address", "2001:db8::7")
    outcome = pinggy(*command, "--address", "192.0.2.7")
    assert rows(outcome)[0][1:] == ["changed", f"A {domain}, AAAA {domain}"]
    assert answered(servers[0], domain, "A") == ["60 192.0.2.7"]
    assert "2001:db8::7" not in str(answered(servers[0], domain, "AAAA"))


def test_a_server_that_fails_is_named_and_the_others_go_on(
    pinggy: Pinggy, servers: tuple[PowerDns, PowerDns], core: FakeCore, domain: str, key_file: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        away = f"http://127.0.0.1:{gone.getsockname()[1]}"
    url = servers[0].server.url
    outcome = pinggy(*words(domain, key_file, away, core.url, url))
    assert outcome.status == 1
    assert rows(outcome) == [
        [away, "failed", "It cannot be reached: Connection refused."],
        [core.url, "failed", "It does not take the key of " + key_file + "."],
        [url, "created", "-"],
    ]
    assert outcome.err.splitlines()[-1] == "pinggy: 2 of 3 servers failed: mend that, then repeat the command."
    assert answered(servers[0], domain, "NS")

    (tmp_path / "wrong.key").write_text("wrong")
    mixed = (*words(domain, str(tmp_path / "wrong.key"), url, servers[1].server.url), "--key-file", key_file)
    assert [row[1] for row in rows(pinggy(*mixed))] == ["failed", "created"]


def test_what_powerdns_refuses_is_said_in_its_words(
    pinggy: Pinggy, servers: tuple[PowerDns, PowerDns], domain: str, key_file: str
) -> None:
    server = servers[0]
    server.call("POST", "", {"name": f"{domain}.", "kind": "Native", "nameservers": []})
    write(server, domain, rrset(f"ns1.{domain}.", "CNAME", f"eu.{domain}."))
    outcome = pinggy(*words(domain, key_file, server.server.url))
    assert outcome.status == 1
    ((_, done, why),) = rows(outcome)
    assert done == "failed"
    assert why.startswith(f"PowerDNS says: RRset ns1.{domain}. IN A: Conflicts")


SERVER = "/api/v1/servers/localhost"


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, b"<h1>No</h1>", "What answers there is not PowerDNS's own API: it has no such path, as a gate has none."),
        (404, b'{"error": "There is nothing at this path."}', "it has no such path, as a gate has none."),
        (200, b"<h1>Yes</h1>", "What answers there is not PowerDNS's own API: its answer is not understood."),
        (200, b'{"daemon_type": "recursor"}', "It is a PowerDNS, but not an authoritative one."),
        (500, b'{"error": "on \x1b[1mfire"}', "PowerDNS's own API: it answers 500."),
        (500, b'{"error": "on \\u001b[1mfire"}', "PowerDNS says: on ?[1mfire"),
        (200, b" " * (1024 * 1024 + 1), "its answer is not understood"),
    ],
)
def test_what_is_no_powerdns(
    pinggy: Pinggy, core: FakeCore, domain: str, key_file: str, status: int, body: bytes, why: str
) -> None:
    core.key_of_powerdns = KEY.reveal()
    core.answer("GET", SERVER, body, status)
    outcome = pinggy(*words(domain, key_file, core.url))
    assert outcome.status == 1
    assert why in outcome.out
    assert [asked[:2] for asked in core.asked] == [("GET", SERVER)], "nothing was changed there"


def test_a_server_that_speaks_no_http(pinggy: Pinggy, domain: str, key_file: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, ThreadPoolExecutor(1) as pool:

        def mumble() -> None:
            connection, _ = mute.accept()
            with connection:
                connection.sendall(b"SSH-2.0-\x1b[1m\r\n")
                connection.recv(4096)

        pool.submit(mumble)
        outcome = pinggy(*words(domain, key_file, f"http://127.0.0.1:{mute.getsockname()[1]}"))
    assert outcome.status == 1
    assert "What answers there is not PowerDNS's own API: BadStatusLine" in outcome.out
    assert "\x1b" not in outcome.out


def test_json(pinggy: Pinggy, servers: tuple[PowerDns, PowerDns], domain: str, key_file: str) -> None:
    url = servers[0].server.url
    outcome = pinggy(*words(domain, key_file, url), "--json")
    assert (outcome.status, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert report["servers"] == [{"url": url, "done": "created", "changes": [], "trouble": None}]
    assert report["domain"] == domain
    assert report["delegation"][0] == f"{domain}. 3600 IN NS ns1.{domain}."


def test_no_core_is_needed(
    pinggy: Pinggy, state: Path, servers: tuple[PowerDns, PowerDns], domain: str, key_file: str
) -> None:
    (state / "operator.key").unlink()
    assert pinggy(*words(domain, key_file, servers[0].server.url)).status == 0


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--server", "http://192.0.2.1:8081"), "would send PowerDNS's key in the clear"),
        (("--server", "https://192.0.2.1/api"), "more than a host and a port"),
        (("--ns", "ns2.a.example"), "say its address"),
        (("--ns", "dns.a.example=192.0.2.1"), "could be a tunnel's"),
        (("--key-file", "missing.key", "--key-file", "another.key"), "once for each --server"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(
    pinggy: Pinggy, core: FakeCore, key_file: str, more: tuple[str, ...], why: str
) -> None:
    outcome = pinggy(*words("a.example", key_file, core.url), *more)
    assert (outcome.status, outcome.out) == (1, "")
    assert why in outcome.err
    assert not core.asked


def test_a_key_that_is_missing_is_named(pinggy: Pinggy, core: FakeCore) -> None:
    outcome = pinggy(*words("a.example", "nowhere.key", core.url))
    assert (outcome.status, outcome.err) == (1, "pinggy: There is no PowerDNS key at nowhere.key.\n")


@pytest.mark.parametrize(
    "words",
    [
        ("a_b",),
        ("a.example", "--ns", "ns1=192.0.2.1"),
        ("a.example", "--ns", "ns1.a.example=here"),
        ("a.example", "--hostmaster", "me"),
        ("a.example", "--address", "here"),
        ("a.example", "--core", "http://127.0.0.1:7070"),
    ],
)
def test_words_that_are_not_understood(pinggy: Pinggy, core: FakeCore, words: tuple[str, ...]) -> None:
    needed = ("--server", core.url, "--key-file", "k", "--ns", "ns1.a.example=192.0.2.1")
    outcome = pinggy("zone", "init", *needed, *words)
    assert (outcome.status, outcome.out) == (2, "")
    assert not core.asked

"""
``pinggy zone init``: the zone on PowerDNS servers, the same on each, as often as one likes.
"""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pinggy.cli.access import read_key
from pinggy.cli.arguments import Call, Noun
from pinggy.cli.failure import CommandFailed
from pinggy.cli.places import Place, parse_place
from pinggy.cli.powerdns import PowerDns, ZoneSettings
from pinggy.cli.zone_plan import Rrset, delegation, parse_domain, parse_mailbox, parse_name_server, plan_zone
from pinggy.wire.codec import encode

T = TypeVar("T")
_EXAMPLE = """a.example.com --server http://127.0.0.1:8081 --key-file /etc/pinggy/powerdns.key \\
      --ns ns1.a.example.com=192.0.2.1 --ns ns2.a.example.com=198.51.100.1"""
_WANTED = ZoneSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOutcome:
    """*done*: created, changed, unchanged or failed; *changes* names what was put right, *trouble* why it failed."""

    url: str
    done: str
    changes: tuple[str, ...] = ()
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InitReport:
    domain: str
    servers: tuple[InitOutcome, ...]
    delegation: tuple[str, ...]


def grow(noun: Noun) -> None:
    verb = noun.verb(
        "init",
        init,
        "make the zone on PowerDNS servers, or put right what it holds of itself; tunnels' records stay as they are",
        _EXAMPLE,
        at_core=False,
    )
    verb.add_argument("domain", metavar="DOMAIN", type=_said(parse_domain), help="the zone, such as a.example.com")
    verb.add_argument(
        "--server", metavar="URL", action="append", required=True, help="PowerDNS's own API, not a gate; repeatable"
    )
    verb.add_argument(
        "--key-file",
        metavar="FILE",
        action="append",
        required=True,
        dest="server_key_files",
        help="the file with PowerDNS's api-key: one for all servers, or one for each in their order",
    )
    verb.add_argument(
        "--ns",
        metavar="NAME=ADDRESS",
        action="append",
        required=True,
        type=_said(parse_name_server),
        help="a name server and where it is; repeatable; without =ADDRESS where NAME lies in another zone",
    )
    verb.add_argument(
        "--hostmaster", metavar="MAIL", type=_said(parse_mailbox), help="who cares for the zone; else hostmaster@DOMAIN"
    )
    verb.add_argument(
        "--address",
        metavar="IP",
        action="append",
        default=[],
        type=_said(lambda text: str(ipaddress.ip_address(text))),
        help="an address of DOMAIN itself, where clients connect; repeatable; without any, what stands stays",
    )


def init(call: Call) -> None:
    options = call.options
    domain = options.domain
    try:
        rrsets = plan_zone(domain, options.ns, options.hostmaster, options.address)
    except ValueError as error:
        raise CommandFailed(f"The zone {domain} cannot be made: {error}.") from None
    servers = _servers(options.server, options.server_key_files)
    outcomes = tuple(_init_at(server, domain, rrsets) for server in servers)
    lines = delegation(rrsets)
    call.terminal.show_list(
        encode(InitReport(domain=domain, servers=outcomes, delegation=lines)),
        ("SERVER", "ZONE", "WHAT"),
        [(each.url, each.done, each.trouble or ", ".join(each.changes)) for each in outcomes],
        "There are no servers.",
    )
    if any(each.done == "created" for each in outcomes):
        call.terminal.explain(f"The zone above {domain} must hold, so that resolvers find it:", *lines)
    failed = sum(each.done == "failed" for each in outcomes)
    if failed:
        raise CommandFailed(f"{failed} of {len(outcomes)} servers failed: mend that, then repeat the command.")


def _servers(urls: Sequence[str], key_files: Sequence[str]) -> list[PowerDns]:
    if len(key_files) == 1:
        key_files = [*key_files] * len(urls)
    if len(key_files) != len(urls):
        raise CommandFailed("Give --key-file once, or once for each --server.")
    return [
        PowerDns(_place(url), read_key(Path(file), "PowerDNS key"), file)
        for url, file in zip(urls, key_files, strict=True)
    ]


def _place(url: str) -> Place:
    return parse_place(url, "The server's URL", "PowerDNS's key", "http://127.0.0.1:8081")


def _init_at(server: PowerDns, domain: str, rrsets: Sequence[Rrset]) -> InitOutcome:
    try:
        server.check()
        standing = server.zone(domain)
        if standing is None:
            server.create(domain, _WANTED, rrsets)
            return InitOutcome(url=server.url, done="created")
        changes = []
        if standing.settings != _WANTED:
            server.set(domain, _WANTED)
            changes.append("settings")
        wrong = _wrong(server, domain, rrsets)
        if wrong:
            server.replace(domain, wrong, standing.serial)
            changes += [str(each) for each in wrong]
    except CommandFailed as failure:
        return InitOutcome(url=server.url, done="failed", trouble=str(failure))
    return InitOutcome(url=server.url, done="changed" if changes else "unchanged", changes=tuple(changes))


def _wrong(server: PowerDns, domain: str, rrsets: Sequence[Rrset]) -> list[Rrset]:
    """Those of *rrsets* that do not stand as they should."""
    names = dict.fromkeys(each.name for each in rrsets)
    stands = {(each.name, each.type): each for name in names for each in server.rrsets(domain, name)}
    missing = Rrset(name="", type="", ttl=0)
    return [each for each in rrsets if not each.is_like(stands.get((each.name, each.type), missing))]


def _said(parse: Callable[[str], T]) -> Callable[[str], T]:
    """*parse*, whose ValueError becomes argparse's own sentence."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed

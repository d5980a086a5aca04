"""
What stands at a server against what should: the differences, and whose they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pinggy.core.zone_book import Entry, OwnedName, Region
from pinggy.dns.powerdns.listing import Standing
from pinggy.dns.powerdns.lua import entry_contents
from pinggy.dns.powerdns.lua import shown as shown_lua
from pinggy.tunnel.names import is_service_label, label_of_host, port_label
from pinggy.tunnel.refusals import echo

# Seconds for which a grant's record may be on its way: its edge is about to publish it.
YOUNG = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """
    At *label* (empty for the zone's own name) stands *stands* where *should* should, each fit to be shown and empty for
    nothing. *region*: it is a region's host, *entry*: an entry, not a tunnel's name.
    """

    label: str
    stands: str
    should: str
    region: bool = False
    entry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What should stand in the zone *domain*. *kept* are the labels that no tunnel may have by the operator's list."""

    domain: str
    names: Sequence[OwnedName]
    regions: Sequence[Region]
    entries: Sequence[Entry] = ()
    kept: Collection[str] = ()


def differences(contents: Mapping[str, Standing], expected: Expected) -> Iterator[Difference]:
    """
    Of *contents* (by absolute name), what is neither a tunnel's name nor a region's host is nobody's business here. A
    tunnel's name without an owner is told by its shape: a CNAME to a region at a label that a tunnel may have.
    """
    by_label = {each.label: each for each in expected.names}
    for region in expected.regions:
        # A region that is no more may have become a tunnel's name.
        if region.addresses or region.name not in by_label:
            stands = contents.get(f"{region.name}.{expected.domain}", _NOTHING)
            if stands.target or sorted(stands.addresses) != sorted(region.addresses):
                yield _difference(region.name, stands, Standing(addresses=region.addresses), region=True)
    for entry in expected.entries:
        label = label_of_host(entry.name, expected.domain) or ""
        if entry.addresses or label not in by_label:
            stands = contents.get(entry.name, _NOTHING)
            should = Standing(lua=entry_contents(entry.addresses, entry.port))
            if stands.lua != should.lua or (should.lua and (stands.target or stands.addresses)):
                yield Difference(label=label, stands=shown(stands), should=shown(should), entry=True)
    for owned in expected.names:
        stands = contents.get(f"{owned.label}.{expected.domain}", _NOTHING)
        should = Standing(target=f"{owned.region}.{expected.domain}")
        if owned.age >= YOUNG and (stands.target, stands.addresses) != (should.target, ()):
            yield _difference(owned.label, stands, should)
    hosts = {region.name for region in expected.regions}
    targets = {f"{name}.{expected.domain}" for name in hosts}
    for name, stands in contents.items():
        stray = label_of_host(name, expected.domain)
        if stray is None or stray in by_label or stray in hosts or stands.target not in targets:
            continue
        if _may_be_a_tunnels(stray, expected.kept):
            yield _difference(stray, stands, _NOTHING)


def shown(standing: Standing) -> str:
    """``CNAME eu.a.example``, ``A 192.0.2.1, AAAA 2001:db8::1``, or nothing; fit to be shown."""
    parts = [f"CNAME {standing.target}"] if standing.target else []
    parts += [f"{'AAAA' if ':' in address else 'A'} {address}" for address in standing.addresses]
    texts = [echo(", ".join(parts))] if parts else []
    return ", ".join((*texts, *(shown_lua(each) for each in standing.lua)))


_NOTHING = Standing()


def _difference(label: str, stands: Standing, should: Standing, region: bool = False) -> Difference:
    return Difference(label=label, stands=shown(stands), should=shown(should), region=region)


def _may_be_a_tunnels(label: str, kept: Collection[str]) -> bool:
    _, _, port = label.partition("-")
    if port.isascii() and port.isdigit() and label == port_label(int(port)):
        return True
    return not is_service_label(label, (), kept)

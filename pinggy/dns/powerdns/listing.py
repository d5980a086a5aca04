"""
What stands in a zone, as PowerDNS's HTTP API lists it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pinggy.dns.powerdns.lua import LUA, plain_content


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    What a name has: where it leads as a CNAME (absolute in lower case without the final dot), its IPv4 and IPv6
    *addresses* in their order, the contents of its LUA records (`pinggy.dns.powerdns.lua`) in theirs, and the types of
    whatever else is there.
    """

    target: str = ""
    addresses: tuple[str, ...] = ()
    lua: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class Nonsense(Exception):
    """It is no listing of a zone."""


def parse_listing(body: bytes) -> dict[str, Standing]:
    """Each name of the zone (absolute in lower case without the final dot) with what it has. Raises `Nonsense`."""
    names: dict[str, dict[str, list[str]]] = {}
    try:
        for rrset in json.loads(body)["rrsets"]:
            contents = [str(each["content"]) for each in rrset["records"] if not each.get("disabled", False)]
            if contents:
                names.setdefault(_plain(rrset["name"]), {})[str(rrset["type"])] = contents
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise Nonsense from None
    return {name: _standing(types) for name, types in names.items()}


def _standing(types: dict[str, list[str]]) -> Standing:
    return Standing(
        target=_plain(types.pop("CNAME", [""])[0]),
        addresses=(*sorted(types.pop("A", ())), *sorted(types.pop("AAAA", ()))),
        lua=tuple(sorted(plain_content(each) for each in types.pop(LUA, ()))),
        others=tuple(sorted(types)),
    )


def _plain(name: Any) -> str:
    return str(name.lower().removesuffix("."))

"""
What shall stand at a name, as a value, and as the RRsets of PowerDNS's HTTP API.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from pinggy.dns.powerdns.lua import LUA, entry_contents

# What a change may touch at a name. A CNAME excludes the others, so no name has all.
ALIAS, ADDRESSES = ("CNAME",), ("A", "AAAA")
# Of an entry's name PowerDNS would answer with addresses that stand there too.
ENTRY = (LUA, *ADDRESSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    *name*, absolute in lower case without the final dot, shall be a CNAME to *target* or have the *addresses*, and
    nothing else, for *ttl* seconds; or, *withdrawn*, shall have nothing, where *epoch* (with *any_lower*, it or a lower
    one) is what stands. *types* are what is written or taken away. With a *port* it shall lead to the nearest of the
    *addresses*.
    """

    name: str
    epoch: int
    target: str = ""
    addresses: tuple[str, ...] = ()
    withdrawn: bool = False
    any_lower: bool = False
    types: tuple[str, ...] = ALIAS
    ttl: int = 0
    proof: str = ""
    port: int = 0

    @property
    def rank(self) -> tuple[int, bool]:
        """Of two changes of one name the one of the higher rank is right, whichever came first."""
        return (self.epoch, self.withdrawn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A server did not take the change of *name*, and says *why*; *stale* where a newer owner has it."""

    name: str
    why: str
    stale: bool = False


NEWER_OWNER = "a newer owner has the name"


def rrsets(change: Change) -> list[dict[str, Any]]:
    """As they stand in the body of a PATCH."""
    return [_rrset(change, rdtype) for rdtype in change.types]


def _rrset(change: Change, rdtype: str) -> dict[str, Any]:
    contents = [] if change.withdrawn else _contents(change, rdtype)
    rrset: dict[str, Any] = {"name": f"{change.name}.", "type": rdtype}
    if contents:
        rrset["changetype"] = "REPLACE"
        rrset["ttl"] = change.ttl
        rrset["records"] = [{"content": each, "disabled": False} for each in contents]
    else:
        rrset["changetype"] = "DELETE"
    if change.proof:
        rrset["proof"] = change.proof
    return rrset


def _contents(change: Change, rdtype: str) -> list[str]:
    if rdtype == "CNAME":
        return [f"{change.target}."]
    if change.port:
        return list(entry_contents(change.addresses, change.port)) if rdtype == LUA else []
    return of_type(change.addresses, rdtype)


def of_type(addresses: Iterable[str], rdtype: str) -> list[str]:
    """Those of *addresses* that records of *rdtype* (A or AAAA) hold."""
    version = 6 if rdtype == "AAAA" else 4
    return [each for each in addresses if ip_address(each).version == version]

"""
The records by which PowerDNS leads to the nearest address that lives: Lua, made here of addresses and a port alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from pinggy.tunnel.refusals import echo

LUA = "LUA"
_OURS = re.compile(r"(A|AAAA) \"ifportup\(([0-9]+), \{([0-9a-f.:',]+)\}, \{selector='pickclosest',timeout='1'\}\)\"")
_MOST_SHOWN = 1000


def entry_contents(addresses: Iterable[str], port: int) -> tuple[str, ...]:
    """
    The contents of the LUA records at a name: one for each family that *addresses* have. A server takes those for alive
    whose *port* takes connections within a second, and gives the one that is nearest to who asks.

    Raises ValueError where something is no address or no port: nothing else may come into a text that is run.
    """
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is no port.")
    found = [ip_address(each) for each in addresses]
    if any(isinstance(each, IPv6Address) and each.scope_id for each in found):
        raise ValueError("An address with a scope is of one link.")
    contents = []
    for rdtype, version in (("A", 4), ("AAAA", 6)):
        texts = sorted({str(each) for each in found if each.version == version})
        if texts:
            listed = ",".join(f"'{each}'" for each in texts)
            contents.append(f"{rdtype} \"ifportup({port}, {{{listed}}}, {{selector='pickclosest',timeout='1'}})\"")
    return tuple(contents)


def shown(content: str) -> str:
    """*content*, fit to be shown: of one that `entry_contents` has made, the addresses."""
    ours = _OURS.fullmatch(content)
    if ours is None:
        return echo(f"LUA {content}")
    rdtype, port, addresses = ours.groups()
    return f"LUA {rdtype} nearest of {addresses[:_MOST_SHOWN]} at port {port}".replace("'", "")


def plain_content(content: str) -> str:
    """*content* as `entry_contents` writes it: a server cuts what is longer than 255 bytes into several strings."""
    return content.replace('" "', "")

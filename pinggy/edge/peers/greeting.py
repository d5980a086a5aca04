"""
What an edge says to another one before a visitor's bytes: who he is, and which tunnel he wants by which epoch, as a
PROXY header; and the one byte that it is answered by.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum

from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Mode, Passage
from pinggy.http.proxyprotocol import (
    AUTHORITY,
    FIRST_OF_ONES_OWN,
    Endpoint,
    MalformedProxy,
    ProxyHeader,
    Tlv,
    plain_host,
    written,
)
from pinggy.tunnel.names import label_of_host

# Our own types: how many edges the visitor has passed; the epoch, eight bytes; the mode and its flag, one byte.
HOP = FIRST_OF_ONES_OWN
EPOCH = FIRST_OF_ONES_OWN + 1
MODE = FIRST_OF_ONES_OWN + 2

_SECURE = 0x80


class Verdict(Enum):
    """The answer. `HERE`: what follows is the tunnel's."""

    HERE = b"\x01"
    NOT_HERE = b"\x02"  # by this epoch, or a newer one
    FULL = b"\x03"  # the visitor's address has as many connections as it may have


@dataclass(frozen=True, slots=True)
class Greeting:
    """*passage* (without its first bytes), to the owner by *epoch* or a newer one."""

    passage: Passage
    epoch: int


def said(passage: Passage, epoch: int, domain: str) -> bytes:
    """The greeting as bytes; the first of the visitor are framed as all that follow."""
    mode = passage.mode.value | (_SECURE if passage.secure else 0)
    source, destination = passage.visitor.ends
    return written(
        ProxyHeader(
            source=source,
            destination=destination,
            tlvs=(
                Tlv(AUTHORITY, f"{passage.name}.{domain}".encode("ascii")),
                Tlv(HOP, bytes([passage.hops])),
                Tlv(EPOCH, epoch.to_bytes(8, "big")),
                Tlv(MODE, bytes([mode])),
            ),
        )
    )


def understood(header: ProxyHeader, domain: str) -> Greeting:
    """What *header* says. Raises `MalformedProxy` where that is no greeting, or the visitor has had his hop."""
    if header.source is None or header.datagram:
        raise MalformedProxy("The greeting names no visitor.")
    authority, epoch, mode = header.value(AUTHORITY), header.value(EPOCH), header.value(MODE)
    if authority is None or epoch is None or len(epoch) != 8 or mode is None or len(mode) != 1:
        raise MalformedProxy("The greeting does not say which tunnel it wants, or how.")
    name = label_of_host(authority.decode("latin-1"), domain)
    if name is None or not name.isascii():
        raise MalformedProxy("The greeting wants a name of another domain.")
    try:
        kind = Mode(mode[0] & ~_SECURE)
    except ValueError:
        raise MalformedProxy("The greeting wants to pass what is not known here.") from None
    secure = bool(mode[0] & _SECURE)
    if secure and kind is not Mode.HTTP:
        raise MalformedProxy("The greeting says that TLS was ended where it is not.")
    hops = header.value(HOP)
    if hops != b"\x01" and not (hops == b"\x02" and kind is Mode.HTTP):
        raise MalformedProxy("The visitor has passed more edges than he may, or none.")
    visitor = Peer(plain_host(header.source.host), header.source.port, _known(header.destination))
    passage = Passage(name=name, mode=kind, visitor=visitor, secure=secure, hops=hops[0])
    return Greeting(passage, int.from_bytes(epoch, "big"))


def _known(destination: Endpoint | None) -> Endpoint | None:
    if destination is None or ipaddress.ip_address(destination.host).is_unspecified:
        return None
    return Endpoint(plain_host(destination.host), destination.port)

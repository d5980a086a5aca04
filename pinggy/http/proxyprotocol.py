"""
The PROXY protocol: whose bytes follow, said before them by somebody who passes them on. Here what both versions say,
and version 2, the binary one (HAProxy's ``proxy-protocol.txt``, section 2.2); version 1 is in `proxyline`.

`written` builds a header, a `HeaderReader` reads one from pieces of any size. Whether its sender is believed is for
others to decide: a stranger can write one too.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = len(SIGNATURE) + 4
_VERSION = 0x20
_LOCAL, _PROXY = 0x0, 0x1
_STREAM, _DATAGRAM = 0x1, 0x2
_IPV4, _IPV6 = 0x10, 0x20
_TLV_HEAD = 3
# Bytes of one whole header that are read at the most: the spec's own advice is that it fits one small segment.
LONGEST = 2048

# Types that the spec names (2.2): of the host asked for, as in SNI; of what only fills up. From 0xE0 to 0xEF each
# application has its own.
AUTHORITY = 0x02
NOOP = 0x04
FIRST_OF_ONES_OWN = 0xE0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class MalformedProxy(Exception):
    """The bytes are no header that is read here; the text is for people, and holds none of them."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """*host* is an IPv4 or IPv6 address in text."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Tlv:
    """One additional value: what *type* says of its bytes is for who asks for it."""

    type: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """
    *source* has connected to *destination*, by TCP or (*datagram*) by UDP; both are of one family. Without them, the
    sender speaks for itself (``LOCAL``), or does not say for whom (``UNKNOWN`` in version 1). No type of *tlvs*, which
    version 1 has not, comes twice.
    """

    source: Endpoint | None = None
    destination: Endpoint | None = None
    datagram: bool = False
    tlvs: tuple[Tlv, ...] = ()

    def value(self, type_: int) -> bytes | None:
        """Of the TLV of this type."""
        return next((each.value for each in self.tlvs if each.type == type_), None)


def written(header: ProxyHeader) -> bytes:
    """*header* as bytes. Addresses of two families are both said in IPv6."""
    family, addresses = 0, b""
    command = _LOCAL
    if header.source is not None and header.destination is not None:
        command = _PROXY
        family, addresses = _addresses(header.source, header.destination)
        family |= _DATAGRAM if header.datagram else _STREAM
    tlvs = b"".join(struct.pack(">BH", each.type, len(each.value)) + each.value for each in header.tlvs)
    rest = addresses + tlvs
    return SIGNATURE + struct.pack(">BBH", _VERSION | command, family, len(rest)) + rest


def plain_host(host: str) -> str:
    """The address *host* without a zone (RFC 4007 11); IPv4 that came mapped into IPv6 is IPv4."""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    return str(address.ipv4_mapped or address)


def of_one_family(source: Endpoint, destination: Endpoint) -> tuple[Address, Address]:
    """Their addresses: both of IPv4, or both of IPv6, where IPv4 is mapped into it (RFC 4291 2.5.5.2)."""
    one, other = (ipaddress.ip_address(each.host) for each in (source, destination))
    if one.version != other.version:
        return _in_ipv6(one), _in_ipv6(other)
    return one, other


def _in_ipv6(address: Address) -> ipaddress.IPv6Address:
    if isinstance(address, ipaddress.IPv6Address):
        return address
    return ipaddress.IPv6Address(0xFFFF << 32 | int(address))


def _addresses(source: Endpoint, destination: Endpoint) -> tuple[int, bytes]:
    one, other = of_one_family(source, destination)
    family = _IPV4 if one.version == 4 else _IPV6
    return family, one.packed + other.packed + struct.pack(">HH", source.port, destination.port)


class HeaderReader:
    """Reads one header: `feed` it until it answers. *rest* is then what came behind it."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._received = bytearray()
        self.rest = b""

    @property
    def started(self) -> bool:
        """Whether anything has come."""
        return bool(self._received)

    def feed(self, data: bytes) -> ProxyHeader | None:
        """The next piece, of any length. None: more is needed. Raises `MalformedProxy` as early as it can be seen."""
        self._received += data
        beginning = self._received[: len(SIGNATURE)]
        if beginning != SIGNATURE[: len(beginning)]:
            raise MalformedProxy("It does not begin as a PROXY header of version 2.")
        if len(self._received) < _FIXED:
            return None
        command, family, length = struct.unpack_from(">BBH", self._received, len(SIGNATURE))
        _check(command, family)
        end = _FIXED + length
        if end > self._longest:
            raise MalformedProxy("The PROXY header is too long.")
        if len(self._received) < end:
            return None
        self.rest = bytes(self._received[end:])
        body = bytes(self._received[_FIXED:end])
        self._received.clear()
        return _header(command & 0x0F, family, body)


def _check(command: int, family: int) -> None:
    if command & 0xF0 != _VERSION or command & 0x0F not in (_LOCAL, _PROXY):
        raise MalformedProxy("The PROXY header is of another version, or a command that is not known.")
    known = family & 0xF0 in (_IPV4, _IPV6) and family & 0x0F in (_STREAM, _DATAGRAM)
    # A sender that speaks for itself has no addresses to say; what it says instead is passed over (2.2).
    if not known and not (command & 0x0F == _LOCAL and family == 0):
        raise MalformedProxy("The PROXY header is of a family or transport that is not known.")


def _header(command: int, family: int, body: bytes) -> ProxyHeader:
    size = {_IPV4: 4, _IPV6: 16}.get(family & 0xF0, 0)
    length = 2 * size + 4 if size else 0
    if len(body) < length:
        raise MalformedProxy("The PROXY header has no room for its addresses.")
    tlvs = _tlvs(body[length:])
    if command == _LOCAL:
        return ProxyHeader(tlvs=tlvs)
    ports = struct.unpack_from(">HH", body, 2 * size)
    source, destination = (
        Endpoint(str(ipaddress.ip_address(body[number * size : (number + 1) * size])), ports[number])
        for number in (0, 1)
    )
    return ProxyHeader(source=source, destination=destination, datagram=family & 0x0F == _DATAGRAM, tlvs=tlvs)


def _tlvs(data: bytes) -> tuple[Tlv, ...]:
    found: dict[int, Tlv] = {}
    at = 0
    while at < len(data):
        if len(data) - at < _TLV_HEAD:
            raise MalformedProxy("The PROXY header ends within a TLV.")
        type_, length = struct.unpack_from(">BH", data, at)
        at += _TLV_HEAD
        if len(data) - at < length:
            raise MalformedProxy("A TLV of the PROXY header leads beyond its end.")
        if type_ in found:
            raise MalformedProxy("A TLV of the PROXY header comes twice.")
        if type_ != NOOP:
            found[type_] = Tlv(type_, data[at : at + length])
        at += length
    return tuple(found.values())

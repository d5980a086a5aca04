"""
The PROXY protocol, version 1: one line of text (HAProxy's ``proxy-protocol.txt``, section 2.1); and a reader of either
version.

What it says is a `ProxyHeader`, as in version 2; only that there are no datagrams and nothing besides the addresses.
"""

from __future__ import annotations

import ipaddress
import re

from pinggy.http.proxyprotocol import (
    SIGNATURE,
    Endpoint,
    HeaderReader,
    MalformedProxy,
    ProxyHeader,
    of_one_family,
)

# Bytes of the longest line with its end (2.1).
LONGEST_LINE = 107
_BEGINNING = b"PROXY "
_END = b"\r\n"
_PORT = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)
_FAMILIES = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}


def written_as_line(header: ProxyHeader) -> bytes:
    """*header* as bytes, without its TLVs. Addresses of two families are both said in IPv6."""
    source, destination = header.source, header.destination
    if source is None or destination is None or header.datagram:
        return b"PROXY UNKNOWN\r\n"
    one, other = of_one_family(source, destination)
    return f"PROXY TCP{one.version} {one} {other} {source.port} {destination.port}\r\n".encode("ascii")


class LineReader:
    """Reads one line: `feed` it until it answers. *rest* is then what came behind it."""

    def __init__(self) -> None:
        self._received = bytearray()
        self.rest = b""

    def feed(self, data: bytes) -> ProxyHeader | None:
        """The next piece, of any length. None: more is needed. Raises `MalformedProxy`."""
        self._received += data
        beginning = self._received[: len(_BEGINNING)]
        if beginning != _BEGINNING[: len(beginning)]:
            raise MalformedProxy("It does not begin as a PROXY header.")
        end = self._received.find(_END, 0, LONGEST_LINE)
        if end < 0:
            if len(self._received) >= LONGEST_LINE:
                raise MalformedProxy("The PROXY header is too long.")
            return None
        self.rest = bytes(self._received[end + len(_END) :])
        said = self._received[len(_BEGINNING) : end].decode("latin-1")
        self._received.clear()
        return _header(said)


class EitherReader:
    """Reads one header of version 1 or 2, which their first bytes tell apart."""

    def __init__(self) -> None:
        self._reader: LineReader | HeaderReader | None = None

    @property
    def rest(self) -> bytes:
        """What came behind the header."""
        return self._reader.rest if self._reader is not None else b""

    def feed(self, data: bytes) -> ProxyHeader | None:
        """The next piece, of any length. None: more is needed. Raises `MalformedProxy`."""
        if self._reader is None and data:
            self._reader = HeaderReader() if data[0] == SIGNATURE[0] else LineReader()
        return self._reader.feed(data) if self._reader is not None else None


def _header(said: str) -> ProxyHeader:
    """What stands between ``PROXY`` and the end of the line."""
    family, *words = said.split(" ")
    if family == "UNKNOWN":
        # Whatever follows is to be passed over (2.1).
        return ProxyHeader()
    address = _FAMILIES.get(family)
    if address is None or len(words) != 4:
        raise MalformedProxy("The PROXY header is of a family that is not known, or has not four words behind it.")
    hosts, ports = words[:2], words[2:]
    try:
        source, destination = (str(address(host)) for host in hosts)
    except ValueError:
        raise MalformedProxy("The PROXY header has no addresses of its family.") from None
    if any("%" in host for host in hosts) or not all(_PORT.fullmatch(port) and int(port) <= 65535 for port in ports):
        raise MalformedProxy("The PROXY header has a zone in its addresses, or no ports.")
    return ProxyHeader(
        source=Endpoint(source, int(ports[0])),
        destination=Endpoint(destination, int(ports[1])),
    )

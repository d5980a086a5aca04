"""
Heads as HTTP/2 has them (RFC 9113 8): fields in lower case, and pseudo-header fields instead of a line.

The h2 library decodes the fields and holds bodies to their lengths; whether they are a request is judged here, as
strictly as in `pinggy.http.head`: what HTTP/1.1 behind us would understand differently is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pinggy.http.framing import NOT_IN_TRAILERS, Delimited, Framing, Trailers
from pinggy.http.head import HOST, OF_A_CONNECTION, RequestHead
from pinggy.http.malformed import Malformed

_OF_A_CONNECTION = tuple(each.encode() for each in OF_A_CONNECTION)
Fields = list[tuple[bytes, bytes]]

_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path"})
# RFC 9113 8.2.2: HTTP/2 has no headers of a connection. TE may say trailers.
_OF_HTTP1 = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})


def request_head(fields: Iterable[tuple[bytes, bytes]], *, ended: bool, most_headers: int, longest: int) -> RequestHead:
    """
    The request of *fields*; *ended*: it has no body. It has *most_headers* at the most, and a target of *longest*
    bytes. Raises `Malformed`.
    """
    pseudo: dict[bytes, bytes] = {}
    headers: list[tuple[str, str]] = []
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    cookies: list[bytes] = []
    binds = False
    for name, value in fields:
        if name[:1] == b":":
            if headers or hosts or cookies or name not in _PSEUDO:
                raise Malformed("The request has a pseudo-header field where none may be, or one that is not known.")
            if name in pseudo:
                raise Malformed(f"The request has two {name.decode('ascii', 'replace')}.")
            pseudo[name] = value
            continue
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Malformed("A header is not well formed.")
        if name in _OF_HTTP1:
            raise Malformed("The request has a header of an HTTP/1.1 connection.")
        if name == b"host":
            hosts.append(value)
        elif name == b"cookie":
            cookies.append(value)
        else:
            if name == b"content-length":
                lengths.append(value)
            elif name == b"te" and value.lower() != b"trailers":
                raise Malformed("The request has a header of an HTTP/1.1 connection.")
            elif name in (b"authorization", b"proxy-authorization"):
                binds = binds or value.lower().startswith(_OF_A_CONNECTION)
            headers.append((name.decode("ascii"), value.decode("latin-1").strip(" \t")))
    if cookies:
        # RFC 9113 8.2.3: HTTP/1.1 has one Cookie header.
        headers.append(("cookie", b"; ".join(cookies).decode("latin-1")))
    if len(headers) > most_headers:
        raise Malformed(f"The head has too many headers: {most_headers} at the most.", 431)
    method = pseudo.get(b":method", b"")
    if not _METHOD.fullmatch(method):
        raise Malformed("The method of the request is not well formed.")
    if method == b"CONNECT":
        raise Malformed("CONNECT is not served: this is no forward proxy.")
    if pseudo.get(b":scheme", b"").lower() not in (b"https", b"http"):
        raise Malformed("The request asks for something that is no URL of the web.")
    target = pseudo.get(b":path", b"")
    if len(target) > longest:
        raise Malformed(f"The URL of the request is too long: {longest} bytes at the most.", 414)
    if not _TARGET.fullmatch(target) and not (target == b"*" and method == b"OPTIONS"):
        raise Malformed("The request target is no path.")
    host = _host(pseudo.get(b":authority"), hosts)
    headers.insert(0, ("host", host))
    return RequestHead(
        method.decode("ascii"),
        target.decode("ascii"),
        "2",
        tuple(headers),
        host,
        _framing(lengths, ended),
        True,
        frozenset(),
        None,
        binds,
    )


def _host(authority: bytes | None, hosts: list[bytes]) -> str:
    """RFC 9113 8.3.1: the authority, and a Host beside it only where it says the same."""
    if authority is not None:
        hosts = [authority, *hosts]
    if not hosts:
        raise Malformed("The request names no host.")
    if len({each.lower() for each in hosts}) > 1:
        raise Malformed("The request names two hosts.")
    host = hosts[0].decode("latin-1")
    if not HOST.fullmatch(host):
        raise Malformed("The host of the request is not well formed.")
    return host


def _framing(lengths: list[bytes], ended: bool) -> Framing:
    """The h2 library holds the body to a length that was said."""
    if len(lengths) > 1:
        raise Malformed("The request has two Content-Lengths.")
    if lengths:
        if not lengths[0].isdigit() or len(lengths[0]) > 19:
            raise Malformed("The Content-Length is not well formed.")
        length = int(lengths[0])
        if ended and length:
            raise Malformed("The request has no body, but says that it has.")
        return length
    return 0 if ended else Delimited.CHUNKED


def trailers(fields: Iterable[tuple[bytes, bytes]]) -> Trailers:
    """Those of a request. Raises `Malformed`."""
    read = []
    for name, value in fields:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Malformed("A trailer after the body is not well formed.")
        if name.replace(b"_", b"-") in NOT_IN_TRAILERS:
            raise Malformed("A trailer after the body names a header that belongs into the head.")
        read.append((name.decode("ascii"), value.decode("latin-1").strip(" \t")))
    return tuple(read)


def response_fields(status: int, headers: Iterable[tuple[str, str]]) -> Fields:
    """The fields of a response whose *headers* are none of a connection."""
    fields = [(b":status", b"%d" % status)]
    fields += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return fields


def trailer_fields(said: Trailers) -> Fields:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in said]

"""
Heads as HTTP/2 has them (RFC 9113 8): fields in lower case, and pseudo-header fields instead of a line.

The h2 library decodes the fields and holds bodies to their lengths; whether they are a request is judged here, as
strictly as in `pinggy.http.head`: what HTTP/1.1 behind us would understand differently is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from http import HTTPStatus

from pinggy.http.framing import NOT_IN_TRAILERS, Delimited, Framing, Trailers
from pinggy.http.head import CHANGED, HOST, OF_A_CONNECTION, RequestHead, ResponseHead, body_length
from pinggy.http.malformed import Malformed
from pinggy.http.rewrite import takes_trailers

_OF_A_CONNECTION = tuple(each.encode() for each in OF_A_CONNECTION)
Fields = list[tuple[bytes, bytes]]

_GRPC = b"application/grpc"
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_STATUS = re.compile(rb"[1-9][0-9]{2}")
_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path"})
_CREDENTIALS = frozenset({b"authorization", b"proxy-authorization"})
# RFC 9113 6.5.2: what a field counts for beside its bytes.
_OF_A_FIELD = 32
# RFC 9113 8.2.2: HTTP/2 has no headers of a connection. TE may say trailers.
_OF_HTTP1 = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})


def request_head(
    fields: Iterable[tuple[bytes, bytes]], *, ended: bool, most_headers: int, longest: int, largest: int
) -> RequestHead:
    """
    The request of *fields*; *ended*: it has no body. It has *most_headers* at the most, a target of *longest* bytes,
    and *largest* bytes as RFC 9113 6.5.2 counts them. Raises `Malformed`.
    """
    pseudo: dict[bytes, bytes] = {}
    headers: list[tuple[str, str]] = []
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    cookies: list[bytes] = []
    binds = False
    plain = True
    size = 0
    for name, value in fields:
        size += len(name) + len(value) + _OF_A_FIELD
        if name[:1] == b":":
            if headers or hosts or cookies or name not in _PSEUDO:
                raise Malformed("The request has a pseudo-header field where none may be, or one that is not known.")
            if name in pseudo:
                raise Malformed(f"The request has two {name.decode('ascii', 'replace')}.")
            pseudo[name] = value
            continue
        text, is_plain = _spelled(name) if len(name) <= _LONGEST_KNOWN else _read_name(name)
        if not _VALUE.fullmatch(value):
            raise Malformed("A header is not well formed.")
        if name == b"host":
            hosts.append(value)
            continue
        if name == b"cookie":
            cookies.append(value)
            continue
        if not is_plain:
            plain = False
            if name == b"te" and value.lower() != b"trailers":
                raise Malformed("The request has a header of an HTTP/1.1 connection.")
        elif name == b"content-length":
            lengths.append(value)
        elif name in _CREDENTIALS:
            binds = binds or value.lower().startswith(_OF_A_CONNECTION)
        headers.append((text, value.decode("latin-1").strip(" \t")))
    if size > largest:
        raise Malformed(f"The request's head is too large: {largest} bytes at the most.", 431)
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
        plain,
    )


def _read_name(name: bytes) -> tuple[str, bool]:
    """A header's name, and whether `rewrite` has nothing to do with it."""
    if not _NAME.fullmatch(name):
        raise Malformed("A header is not well formed.")
    if name in _OF_HTTP1:
        raise Malformed("The request has a header of an HTTP/1.1 connection.")
    text = name.decode("ascii")
    return text, not (text in CHANGED or "_" in text)


# The same few hundred names come again and again.
_LONGEST_KNOWN = 40
_spelled = lru_cache(maxsize=1024)(_read_name)


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
        if not lengths[0].isdigit():
            raise Malformed("The Content-Length is not well formed.")
        length = body_length(lengths[0])
        if ended and length:
            raise Malformed("The request has no body, but says that it has.")
        return length
    return 0 if ended else Delimited.CHUNKED


def trailers(fields: Iterable[tuple[bytes, bytes]]) -> Trailers:
    """Raises `Malformed`."""
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


# -- toward a server ---------------------------------------------------------------------------------------------


def request_fields(head: RequestHead, headers: Iterable[tuple[str, str]], *, scheme: bytes) -> Fields:
    """
    The fields of *head* with these *headers*, which have exactly one Host, and none of a connection. Whoever reads
    trailers says so by TE (RFC 9110 10.1.4), and so does gRPC: some of its servers refuse calls that do not.
    """
    fields = [
        (b":method", head.method.encode("ascii")),
        (b":scheme", scheme),
        (b":authority", b""),
        (b":path", head.target.encode("ascii")),
    ]
    for name, value in headers:
        lower = name.lower()
        if lower == "host":
            fields[2] = (b":authority", value.encode("latin-1"))
        else:
            fields.append((lower.encode("latin-1"), value.encode("latin-1")))
    if takes_trailers(head):
        fields.append((b"te", b"trailers"))
    return fields


def response_head(fields: Iterable[tuple[bytes, bytes]], *, method: str, ended: bool, most: int = 256) -> ResponseHead:
    """
    The response of *fields* to a request with *method*; *ended*: nothing follows. It has *most* headers at the most.
    Raises `Malformed`.
    """
    status = None
    headers: list[tuple[str, str]] = []
    lengths: list[bytes] = []
    is_grpc = False
    for name, value in fields:
        if name == b":status" and status is None and not headers and _STATUS.fullmatch(value):
            status = int(value)
            continue
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name in _OF_HTTP1:
            raise Malformed("A header of the response is not well formed.")
        if name == b"content-length":
            lengths.append(value)
        elif name == b"content-type":
            is_grpc = value.lower().startswith(_GRPC)
        headers.append((name.decode("ascii"), value.decode("latin-1").strip(" \t")))
    if status is None or status == 101:
        raise Malformed("The response has no status that HTTP/2 knows.")
    if len(headers) > most:
        raise Malformed("The response has too many headers.")
    if len(lengths) > 1 or not all(each.isdigit() for each in lengths):
        raise Malformed("The Content-Length of the response is not well formed.")
    length = body_length(lengths[0]) if lengths else None
    framing: Framing = 0
    if method != "HEAD" and status >= 200 and status not in (204, 304):
        framing = _response_framing(length, ended)
        if is_grpc and not ended and isinstance(framing, int):
            # HTTP/1.1 has no trailers after a body whose length is said (RFC 9112 7.1.2), and the outcome is in them.
            headers = [header for header in headers if header[0] != "content-length"]
            framing = Delimited.CHUNKED
    return ResponseHead(status, _phrase(status), "2", tuple(headers), framing, True, frozenset(), None, False)


def _response_framing(length: int | None, ended: bool) -> Framing:
    if length is None:
        return 0 if ended else Delimited.CHUNKED
    if ended and length:
        raise Malformed("The response has no body, but says that it has.")
    return length


@cache
def _phrase(status: int) -> str:
    """HTTP/2 has none (RFC 9113 8.3.2); HTTP/1.1 visitors may be used to one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""

"""
Heads as HTTP/1.1 writes them (RFC 9112 2.1): the line, the end-to-end headers, and those of this connection.
"""

from __future__ import annotations

from collections.abc import Iterable

from pinggy.http.framing import Delimited
from pinggy.http.head import RequestHead, ResponseHead
from pinggy.http.rewrite import Headers


def request_head(head: RequestHead, headers: Iterable[tuple[str, str]]) -> bytes:
    """*head* for a server, which reads HTTP/1.1 whatever the visitor speaks (RFC 9110 6.2), with these *headers*."""
    parts = [f"{head.method} {head.target} HTTP/1.1\r\n"]
    parts += [f"{name}: {value}\r\n" for name, value in headers]
    if head.framing is Delimited.CHUNKED:
        parts.append("Transfer-Encoding: chunked\r\n")
    if head.upgrade is not None:
        parts.append(f"Connection: Upgrade\r\nUpgrade: {head.upgrade}\r\n")
    parts.append("\r\n")
    return "".join(parts).encode("latin-1")


def response_head(
    head: ResponseHead, headers: Iterable[tuple[str, str]], *, chunked: bool, connection: str | None
) -> bytes:
    """
    *head* for a visitor, with these *headers*. *chunked*: the body goes out in chunks; *connection*: ``close``,
    ``keep-alive`` or nothing to say.
    """
    parts = [f"HTTP/1.1 {head.status} {head.reason}\r\n"]
    parts += [f"{name}: {value}\r\n" for name, value in headers]
    if chunked:
        parts.append("Transfer-Encoding: chunked\r\n")
    if head.upgrade is not None:
        connection = "Upgrade" if connection is None else f"{connection}, Upgrade"
        parts.append(f"Upgrade: {head.upgrade}\r\n")
    if connection is not None:
        parts.append(f"Connection: {connection}\r\n")
    parts.append("\r\n")
    return "".join(parts).encode("latin-1")


def said_to_be_empty(head: ResponseHead, headers: Headers, method: str) -> Headers:
    """
    The *headers* of a response without a body, to a request with *method*, as HTTP/1.1 needs them (RFC 9112 6.3): there
    one that says nothing ends with the connection. HTTP/2 need not say it.
    """
    if method == "HEAD" or head.status in (204, 304) or any(name.lower() == "content-length" for name, _ in headers):
        return headers
    return [*headers, ("Content-Length", "0")]

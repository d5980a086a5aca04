"""
Heads of requests and responses: read by httptools, then judged by RFC 9112.

httptools refuses most of what readers understand differently (bare LF, obs-fold, NUL, CR, two Content-Lengths or one
beside Transfer-Encoding); what it lets pass and we do not is refused here: the tests have a line for each.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import httptools

from pinggy.http.framing import Delimited, Framing
from pinggy.http.malformed import Malformed

Headers = tuple[tuple[str, str], ...]

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])\r\n")
_STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.ASCII | re.IGNORECASE)
# Beyond it many readers count on from below zero.
_LARGEST_BODY = 2**63 - 1
_MOST_DIGITS = len(str(_LARGEST_BODY))
# One protocol inside another that we would not read: an upgrade to it would carry requests past the policy.
_NOT_UPGRADED_TO = ("h2c", "http", "tls")


class RequestHead(NamedTuple):
    """
    *target* is in origin form (or ``*``), *host* the Host as it came (empty: HTTP/1.0 without one). *named* are the
    headers that Connection names, in lower case. *upgrade* is the protocol asked for in place of HTTP, or None.

    *binds*: its authentication is one of the connection (NTLM, Negotiate: RFC 4559 6), which then is that visitor's.

    *headers* lack Connection and Keep-Alive, which have been read here. *plain*: none of those that are left may have
    to be changed on its way.
    """

    method: str
    target: str
    version: str
    headers: Headers
    host: str
    framing: Framing
    keep_alive: bool
    named: frozenset[str]
    upgrade: str | None
    binds: bool
    plain: bool = False


class ResponseHead(NamedTuple):
    """*upgrade* is the protocol of a 101 (or of a 426), else None. For *binds* and *plain* see `RequestHead`."""

    status: int
    reason: str
    version: str
    headers: Headers
    framing: Framing
    keep_alive: bool
    named: frozenset[str]
    upgrade: str | None
    binds: bool
    plain: bool = False


def parse_request(head: bytes, *, most_headers: int = 100, longest: int = 8 * 1024) -> RequestHead:
    """Read *head*, which ends with its empty line; its target is *longest* bytes at the most. Raises `Malformed`."""
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise Malformed("The request line is not well formed.")
    method, target, version = line[1].decode("ascii"), line[2].decode("ascii"), line[3].decode("ascii")
    if len(target) > longest:
        raise Malformed(f"The URL of the request is too long: {longest} bytes at the most.", 414)
    if version not in ("1.1", "1.0"):
        raise Malformed("Only HTTP/1.1 and HTTP/1.0 are spoken here.", 505)
    if method == "CONNECT":
        raise Malformed("CONNECT is not served: this is no forward proxy.")
    fields = _Fields()
    fields.read(httptools.HttpRequestParser(fields), head, most_headers)
    host = fields.host(version)
    if not target.startswith("/"):
        target, host = _origin_form(method, target, host)
        fields.give_host(host)
    if "#" in target:
        raise Malformed("The request target has a fragment.")
    return RequestHead(
        method,
        target,
        version,
        tuple(fields.headers),
        host,
        fields.framing(version, 0),
        fields.keeps_alive(version),
        fields.named,
        fields.upgrade_asked() if version == "1.1" else None,
        fields.binds,
        fields.plain,
    )


def parse_response(head: bytes, method: str, *, most_headers: int = 256) -> ResponseHead:
    """Read *head*, the response to a request with *method*. Raises `Malformed`."""
    line = _STATUS_LINE.match(head)
    if line is None:
        raise Malformed("The status line is not well formed.")
    version, status, reason = line[1].decode("ascii"), int(line[2]), (line[3] or b"").decode("latin-1")
    fields = _Fields()
    fields.read(httptools.HttpResponseParser(fields), head, most_headers)
    # RFC 9112 6.3, rule 1.
    bodiless = method == "HEAD" or status < 200 or status in (204, 304)
    return ResponseHead(
        status,
        reason,
        version,
        tuple(fields.headers),
        0 if bodiless else fields.framing(version, Delimited.UNTIL_CLOSE),
        fields.keeps_alive(version),
        fields.named,
        fields.upgrade if status in (101, 426) else None,
        fields.binds,
        fields.plain,
    )


def body_length(digits: str | bytes) -> int:
    """Of a Content-Length of *digits*. Raises `Malformed`: with more of them readers differ, or give up."""
    if len(digits) > _MOST_DIGITS or int(digits) > _LARGEST_BODY:
        raise Malformed("The Content-Length is too large to be true.")
    return int(digits)


class _Fields:
    """The headers of one head as httptools finds them, and what those say that rule the connection."""

    __slots__ = (
        "_complete",
        "_encodings",
        "_hidden",
        "_hosts",
        "_length",
        "binds",
        "headers",
        "named",
        "plain",
        "upgrade",
    )

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.named: frozenset[str] = frozenset()
        self.upgrade: str | None = None
        self.binds = False
        self.plain = True
        self._hidden = 0  # headers that are not among those
        self._hosts: list[str] = []
        self._encodings: list[str] = []
        self._length: str | None = None
        self._complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        field, lower = _spelled(name) if len(name) <= _LONGEST_KNOWN else _read_name(name)
        content = value.decode("latin-1").strip(" \t")
        if lower is None:
            self.headers.append((field, content))
            return
        if lower == "connection":
            self._hidden += 1
            self.named |= {token.strip(" \t").lower() for token in content.split(",")} - {""}
            if not self.named <= _OF_EVERY_CONNECTION:
                self.plain = False
            return
        if lower == "keep-alive":
            self._hidden += 1
            return
        self.headers.append((field, content))
        if lower in CHANGED or "_" in lower:
            self.plain = False
        if lower == "host":
            self._hosts.append(content)
        elif lower == "content-length":
            self._length = content
        elif lower == "transfer-encoding":
            self._encodings.append(content)
        elif lower in _CREDENTIALS:
            self.binds = self.binds or content.lower().startswith(OF_A_CONNECTION)
        elif lower == "upgrade":
            self.upgrade = content if self.upgrade is None else f"{self.upgrade}, {content}"

    def on_headers_complete(self) -> None:
        self._complete = True

    def read(self, parser: httptools.HttpRequestParser | httptools.HttpResponseParser, head: bytes, most: int) -> None:
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass  # said after a whole head that asks for an upgrade
        except httptools.HttpParserInvalidMethodError:
            raise Malformed("The method of the request is not known here.", 501) from None
        except httptools.HttpParserError:
            raise Malformed("The head is not well formed.") from None
        if not self._complete:
            raise Malformed("The head is not well formed.")
        if len(self.headers) + self._hidden > most:
            raise Malformed(f"The head has too many headers: {most} at the most.", 431)

    def host(self, version: str) -> str:
        """RFC 9112 3.2: exactly one in HTTP/1.1, one at the most in HTTP/1.0."""
        if len(self._hosts) > 1:
            raise Malformed("The request has two Host headers.")
        if not self._hosts:
            if version == "1.1":
                raise Malformed("The request has no Host header.")
            return ""
        if not HOST.fullmatch(self._hosts[0]):
            raise Malformed("The Host header is not well formed.")
        return self._hosts[0]

    def give_host(self, host: str) -> None:
        """Whoever reads this head next gets none of the URL that named it (HTTP/1.0 may do without a Host)."""
        if host and not self._hosts:
            self._hosts.append(host)
            self.headers.append(("Host", host))

    def framing(self, version: str, unsaid: Framing) -> Framing:
        """RFC 9112 6.3, stricter: no other transfer coding than chunked, and that alone."""
        if self._encodings:
            if version != "1.1" or self._length is not None:
                raise Malformed("Transfer-Encoding stands where it may not: in HTTP/1.0, or beside Content-Length.")
            if len(self._encodings) > 1 or self._encodings[0].lower() != "chunked":
                raise Malformed("No other Transfer-Encoding than chunked is read here.")
            return Delimited.CHUNKED
        if self._length is None:
            return unsaid
        # httptools has seen that there is one, of digits alone.
        return body_length(self._length)

    def keeps_alive(self, version: str) -> bool:
        """RFC 9112 9.3."""
        if "close" in self.named:
            return False
        return version == "1.1" or "keep-alive" in self.named

    def upgrade_asked(self) -> str | None:
        if self.upgrade is None or "upgrade" not in self.named:
            return None
        protocols = [each.strip(" \t").lower().partition("/")[0] for each in self.upgrade.split(",")]
        return None if any(each in _NOT_UPGRADED_TO for each in protocols) else self.upgrade


_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "www-authenticate"})
_OF_EVERY_CONNECTION = frozenset({"close", "keep-alive"})
# What proxies say about a visitor. We do not say all of it, but some servers believe the rest before what we say (Rack:
# X-Forwarded-Ssl and -Scheme before -Proto).
OF_THE_VISITOR = frozenset(
    {
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-pinggy-url",
    }
)
# What `rewrite` may have to take off or to change, beside what the policy of a tunnel names.
CHANGED = OF_THE_VISITOR | frozenset(
    {
        "expect",
        "proxy-connection",
        "set-cookie",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
_LOOKED_AT = CHANGED | _CREDENTIALS | {"connection", "content-length", "host", "keep-alive"}
OF_A_CONNECTION = ("ntlm", "negotiate")


def _read_name(name: bytes) -> tuple[str, str | None]:
    """A header's name as it came; and in lower case, where it is one that is looked at (or could be taken for one)."""
    field = name.decode("latin-1")
    lower = field.lower()
    return field, lower if lower in _LOOKED_AT or "_" in lower else None


# The same few hundred names come again and again.
_LONGEST_KNOWN = 40
_spelled = lru_cache(maxsize=1024)(_read_name)


def _origin_form(method: str, target: str, host: str) -> tuple[str, str]:
    """The *target* as an origin server is asked (RFC 9112 3.2), and the host."""
    if target == "*" and method == "OPTIONS":
        return target, host
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Malformed("The request target is neither a path nor a URL.")
    authority, path = absolute.groups()
    if (host and authority.lower() != host.lower()) or not HOST.fullmatch(authority):
        raise Malformed("The request asks for a URL of another host than its Host header names.")
    if not path:
        path = "*" if method == "OPTIONS" else "/"
    return path if path.startswith(("/", "*")) else "/" + path, authority

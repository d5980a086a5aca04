"""
What may stand behind the words of the arguments: each text is read into a value, or is `Unfit`.
"""

from __future__ import annotations

import ipaddress
import re

from pinggy.settings import Secret
from pinggy.tunnel.networks import Network
from pinggy.tunnel.policy import BasicAuth, HeaderAction, HeaderRule, ProxyProtocol, Rate

HIGHEST_RATE = 1_000_000
LARGEST_LIMIT = 1024 * 1024**3

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SNI = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
_RATE = re.compile(r"([0-9]{1,12})/([smh])", re.ASCII | re.IGNORECASE)
_SIZE = re.compile(r"([0-9]{1,15})([kmg]?)", re.ASCII | re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_BYTES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}

# RFC 9112 6 and RFC 9110 7.6.1: to change these is to change which bytes are one message.
OF_THE_CONNECTION = frozenset(
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]
)
# RFC 6455 4.2.2: what was agreed on for the bytes after a 101.
OF_THE_WEBSOCKET = frozenset(["sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-protocol"])


class Unfit(Exception):
    """
    Why a text is not read: the rest of a sentence that begins with the word. *instead* is what to write, where it is
    not the option's usual form.
    """

    def __init__(self, why: str, instead: str | None = None) -> None:
        super().__init__(why)
        self.instead = instead


def request_rule(action: HeaderAction, text: str) -> HeaderRule:
    rule = _rule(action, text, OF_THE_CONNECTION)
    if rule.name.lower() == "host":
        if action is not HeaderAction.UPDATE:
            raise Unfit("is refused: a request has one Host, always", "u:Host:Value to change it")
        if not _HOST.fullmatch(rule.value):
            raise Unfit("has no well-formed host", "u:Host:NAME or u:Host:NAME:PORT")
    return rule


def response_rule(action: HeaderAction, text: str) -> HeaderRule:
    return _rule(action, text, OF_THE_CONNECTION | OF_THE_WEBSOCKET)


def basic_auth(text: str) -> BasicAuth:
    user, _, password = text.partition(":")
    if not user or text.count(":") != 1:
        raise Unfit("needs a user and a password, neither with a colon")
    return BasicAuth(user, Secret(password))


def bearer_key(text: str) -> Secret:
    if not text or text != text.strip():
        raise Unfit("needs a key, without spaces around it")
    return Secret(text)


def networks(text: str) -> list[Network]:
    return [_network(each.strip()) for each in text.split(",")]


def address_header(text: str) -> str:
    name = _header_name(text or "X-Forwarded-For", OF_THE_CONNECTION)
    if name.lower() == "host":
        raise Unfit("is refused: Host says which tunnel is meant")
    return name


def server_name(text: str) -> str:
    if text and not _SNI.fullmatch(text):
        raise Unfit("has no well-formed server name")
    return text or "localhost"


def proxy_protocol(text: str) -> ProxyProtocol:
    try:
        return ProxyProtocol(text.lower() or "v1")
    except ValueError:
        raise Unfit("has no version of the PROXY protocol", "x:haproxy:v1 or x:haproxy:v2") from None


def rate(text: str) -> Rate:
    match = _RATE.fullmatch(text)
    if match is None:
        raise Unfit("has no rate", "x:rate:N/s, x:rate:N/m or x:rate:N/h, N a whole number")
    count = int(match[1])
    if not 1 <= count <= HIGHEST_RATE:
        raise Unfit("is out of bounds", f"a number from 1 to {HIGHEST_RATE}")
    return Rate(count, _SECONDS[match[2].lower()])


def size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Unfit("has no size", "x:limit:N, N bytes as a whole number, or with k, m or g behind it")
    size = int(match[1]) * _BYTES[match[2].lower()]
    # Elsewhere 0 means "without a limit": nobody shall be surprised.
    if not 1 <= size <= LARGEST_LIMIT:
        raise Unfit("is out of bounds", f"a size from 1 to {LARGEST_LIMIT // 1024**3}g")
    return size


def _rule(action: HeaderAction, text: str, untouchable: frozenset[str]) -> HeaderRule:
    if action is HeaderAction.REMOVE:
        return HeaderRule(action, _header_name(text, untouchable))
    name, colon, value = text.partition(":")
    if not colon:
        raise Unfit("has no value")
    return HeaderRule(action, _header_name(name, untouchable), _header_value(value))


def _header_name(name: str, untouchable: frozenset[str]) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise Unfit("has no well-formed header name")
    if name.lower() in untouchable:
        raise Unfit("is refused: that header says where a message ends, and is not yours to set", "another header")
    return name


def _header_value(value: str) -> str:
    if _CONTROL.search(value):
        raise Unfit("has a line break, NUL or other control character in its header value", "it without")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise Unfit("has a header value outside Latin-1", "it percent-encoded or in ASCII") from None
    # RFC 9110 5.5: what surrounds a value is none of it; HTTP/2 forbids it (RFC 9113 8.2.1).
    return value.strip(" \t")


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Unfit("has something that is no IPv4 or IPv6 address or network") from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is not None and network.prefixlen >= 96:
        # Visitors are told apart by what the mapped address stands for.
        return ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    return network

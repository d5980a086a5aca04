"""
The grammar of what a client asks for: ``USER`` and ``-R`` (ssh-interface).

Both come from a stranger as bytes; what leaves here is a frozen value or a `Refusal`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pinggy.tunnel.refusals import (
    AskedTwice,
    MalformedForwarding,
    MalformedUser,
    Refusal,
    TwoDefaults,
    TwoTypes,
    UnknownKeyword,
    echo,
)
from pinggy.tunnel.token import Token, parse_token

LONGEST_USER = 256
LONGEST_BIND = 512


class Kind(Enum):
    """The type of a forwarding."""

    HTTP = "http"
    TCP = "tcp"
    TLS = "tls"
    TLSTCP = "tlstcp"
    UDP = "udp"


class QrCode(Enum):
    UNICODE = "qr"
    ASCII = "aqr"


_FLAGS = frozenset({"auth", "force", "key", "json"})
_KINDS = {kind.value: kind for kind in Kind}
_QR_CODES = {code.value: code for code in QrCode}
# "localhost" is what OpenSSH asks for where no bind address was typed, "" what it makes of "*".
_DEFAULT_BINDS = frozenset({"", "*", "localhost", "0.0.0.0", "::", "127.0.0.1", "::1", "[::]", "[::1]"})
_NAMED = re.compile(r"(?:(?P<schema>[^/@]*)//)?(?P<host>[^/@]*)(?:/(?P<port>[^/@]*))?(?:@(?P<alias>[^/@]*))?")
_ALIAS = re.compile(r"[A-Za-z0-9_.-]{1,63}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What ``USER`` says."""

    token: Token | None = None
    kind: Kind = Kind.HTTP
    auth: bool = False
    force: bool = False
    key: bool = False
    json: bool = False
    qr: QrCode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardRequest:
    """
    What one ``-R`` asks for.

    *bind* and *bind_port* are as they came: ``forwarded-tcpip`` repeats them. *host* is None for the default
    forwarding; *port* is the public port asked for (tcp only); *alias* is the ``@name``.
    """

    bind: str
    bind_port: int
    kind: Kind
    host: str | None = None
    port: int | None = None
    alias: str | None = None

    @property
    def is_default(self) -> bool:
        return self.host is None


def clash(request: ForwardRequest, standing: Sequence[ForwardRequest]) -> Refusal | None:
    """Why *request* cannot stand beside the others of its connection, if it cannot."""
    if request.is_default and any(each.is_default for each in standing):
        return TwoDefaults.of()
    if any(each.bind == request.bind and each.bind_port == request.bind_port != 0 for each in standing):
        return AskedTwice.of(f"{request.bind}:{request.bind_port}")
    if any(_same_name(each, request) for each in standing):
        return AskedTwice.of(f"The name {request.host}")
    return None


def _same_name(one: ForwardRequest, other: ForwardRequest) -> bool:
    return one.host is not None and one.host == other.host and Kind.TCP not in (one.kind, other.kind)


def parse_user(user: bytes) -> Login:
    """Read ``USER``. Raises `MalformedUser`, `TokenMistyped`, `UnknownKeyword` or `TwoTypes`."""
    if len(user) > LONGEST_USER:
        raise MalformedUser(f"This user name is too long: {LONGEST_USER} bytes at the most.")
    try:
        text = user.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedUser("This user name is not valid UTF-8.") from None
    first, *rest = text.split("+")
    token = None
    words = rest
    if _is_keyword(first.lower()):
        words = [first, *rest]
    else:
        token = parse_token(first)
    return _login(token, [word.lower() for word in words if word])


def parse_forward(bind: bytes, bind_port: int, default: Kind) -> ForwardRequest:
    """
    Read the bind address and port of one ``tcpip-forward`` (RFC 4254 7.1); *default* is the type that USER asked for.

    Raises `MalformedForwarding`. Whether the name may be had is not decided here.
    """
    if len(bind) > LONGEST_BIND:
        raise MalformedForwarding(f"This forwarding's name is too long: {LONGEST_BIND} bytes at the most.")
    if not 0 <= bind_port <= 65535:
        raise MalformedForwarding(f"Port {bind_port} of this forwarding is not a port.")
    try:
        text = bind.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedForwarding("This forwarding's name is not valid UTF-8.") from None
    if text.lower() in _DEFAULT_BINDS:
        return ForwardRequest(bind=text, bind_port=bind_port, kind=default)
    return _named(text, bind_port)


def _named(text: str, bind_port: int) -> ForwardRequest:
    match = _NAMED.fullmatch(text)
    if match is None:
        raise MalformedForwarding(
            f"The forwarding '{echo(text)}' is not well formed: write [schema//]hostname[/port][@name]."
        )
    schema = "http" if match["schema"] is None else match["schema"].lower()
    if schema not in _KINDS:
        raise MalformedForwarding(
            f"The schema '{echo(schema)}' of a forwarding is unknown: write http, tcp, tls, tlstcp or udp."
        )
    kind = _KINDS[schema]
    if not match["host"] and kind not in (Kind.TCP, Kind.UDP):
        raise MalformedForwarding(f"The forwarding '{echo(text)}' has no hostname.")
    if match["alias"] is not None and not _ALIAS.fullmatch(match["alias"]):
        raise MalformedForwarding(f"The name after @ in '{echo(text)}' takes A-Z a-z 0-9 _ . - only, 63 at the most.")
    port = _public_port(match["port"], text)
    return ForwardRequest(
        bind=text,
        bind_port=bind_port,
        kind=kind,
        host=match["host"],
        port=port if kind in (Kind.TCP, Kind.UDP) else None,
        alias=match["alias"],
    )


def _public_port(digits: str | None, text: str) -> int | None:
    if digits is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", digits, re.ASCII) or int(digits) > 65535:
        raise MalformedForwarding(f"The port of the forwarding '{echo(text)}' is not a port.")
    return int(digits) or None


def _is_keyword(word: str) -> bool:
    return word in _FLAGS or word in _KINDS or word in _QR_CODES


def _login(token: Token | None, words: list[str]) -> Login:
    kinds: list[Kind] = []
    qr = None
    for word in words:
        if word in _KINDS:
            kinds.append(_KINDS[word])
        elif word in _QR_CODES:
            qr = _QR_CODES[word]
        elif word not in _FLAGS:
            raise UnknownKeyword.of(word)
    distinct = list(dict.fromkeys(kinds))
    if len(distinct) > 1:
        raise TwoTypes.of(distinct[0].value, distinct[1].value)
    return Login(
        token=token,
        kind=distinct[0] if distinct else Kind.HTTP,
        auth="auth" in words,
        force="force" in words,
        key="key" in words,
        json="json" in words,
        qr=qr,
    )

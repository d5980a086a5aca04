"""
The grammar of the arguments (ssh-interface) and what they ask to do with visitors.

The exec string of a stranger becomes a frozen `Policy` or a `Refusal` that names the word.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from dataclasses import dataclass, field
from enum import Enum

from pinggy.settings import Secret
from pinggy.tunnel.refusals import TooLong, UnknownArgument

LONGEST_COMMAND = 16 * 1024
MOST_WORDS = 256
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)
_SNI = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)

# RFC 9112 6 and RFC 9110 7.6.1: to change these is to change which bytes are one request.
_OF_THE_CONNECTION = frozenset(
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class HeaderAction(Enum):
    ADD = "a"
    REMOVE = "r"
    UPDATE = "u"


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """What to do with the request headers called *name*; *value* is empty for REMOVE."""

    action: HeaderAction
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class BasicAuth:
    user: str
    password: Secret


class ProxyProtocol(Enum):
    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a client asked to do with its visitors. The defaults are those of a tunnel without arguments."""

    headers: tuple[HeaderRule, ...] = ()
    basic: tuple[BasicAuth, ...] = ()
    bearer: tuple[Secret, ...] = ()
    whitelist: tuple[Network, ...] = ()
    https_only: bool = False
    xff: str | None = None
    full_url: bool = False
    local_tls: str | None = None
    pass_preflight: bool = False
    reverse_proxy: bool = True
    haproxy: ProxyProtocol | None = None

    def admits(self, visitor: Address) -> bool:
        """Whether the whitelist lets *visitor* in; no whitelist lets everybody in."""
        if not self.whitelist:
            return True
        mapped = visitor.ipv4_mapped if isinstance(visitor, ipaddress.IPv6Address) else None
        return any((mapped or visitor) in network for network in self.whitelist)


def split_command(command: bytes) -> tuple[str, ...]:
    """The words of an exec string, split as a shell does. Raises `TooLong` or `UnknownArgument`."""
    if len(command) > LONGEST_COMMAND:
        raise TooLong(f"The arguments are too long: {LONGEST_COMMAND} bytes at the most.")
    try:
        words = shlex.split(command.decode("utf-8"))
    except UnicodeDecodeError:
        raise UnknownArgument("The arguments are not valid UTF-8.") from None
    except ValueError:
        raise UnknownArgument("The arguments have a quotation mark that is never closed.") from None
    if len(words) > MOST_WORDS:
        raise TooLong(f"Too many arguments: {MOST_WORDS} at the most.")
    return tuple(words)


def parse_policy(words: tuple[str, ...]) -> Policy:
    """Read the arguments. Raises `UnknownArgument`, which names the word."""
    draft = _Draft()
    for word in words:
        head, colon, rest = word.partition(":")
        reader = _READERS.get(head)
        if reader is None or not colon:
            raise UnknownArgument.of(word)
        reader(draft, word, rest)
    return draft.policy()


@dataclass(slots=True)
class _Draft:
    headers: list[HeaderRule] = field(default_factory=list)
    basic: list[BasicAuth] = field(default_factory=list)
    bearer: list[Secret] = field(default_factory=list)
    whitelist: list[Network] = field(default_factory=list)
    options: dict[str, object] = field(default_factory=dict)

    def policy(self) -> Policy:
        return Policy(
            headers=tuple(self.headers),
            basic=tuple(self.basic),
            bearer=tuple(self.bearer),
            whitelist=tuple(self.whitelist),
            **self.options,  # type: ignore[arg-type]
        )


def _header_name(word: str, name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise UnknownArgument.of(word, "has no well-formed header name")
    if name.lower() in _OF_THE_CONNECTION:
        raise UnknownArgument.of(word, "is refused: that header says where a message ends, and is not yours to set")
    return name


def _header_value(word: str, value: str) -> str:
    if any(char in "\r\n\0" for char in value):
        raise UnknownArgument.of(word, "has a line break or NUL in its header value")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise UnknownArgument.of(word, "has a header value outside Latin-1") from None
    return value


def _add(draft: _Draft, word: str, rest: str) -> None:
    name, colon, value = rest.partition(":")
    if not colon:
        raise UnknownArgument.of(word, "has no value: write a:Name:Value")
    rule = HeaderRule(HeaderAction.ADD, _header_name(word, name), _header_value(word, value))
    if name.lower() == "host":
        raise UnknownArgument.of(word, "would add a second Host: write u:Host:Value")
    draft.headers.append(rule)


def _remove(draft: _Draft, word: str, rest: str) -> None:
    if _header_name(word, rest).lower() == "host":
        raise UnknownArgument.of(word, "is refused: Host cannot be removed")
    draft.headers.append(HeaderRule(HeaderAction.REMOVE, rest))


def _update(draft: _Draft, word: str, rest: str) -> None:
    name, colon, value = rest.partition(":")
    if not colon:
        raise UnknownArgument.of(word, "has no value: write u:Name:Value")
    draft.headers.append(HeaderRule(HeaderAction.UPDATE, _header_name(word, name), _header_value(word, value)))


def _basic(draft: _Draft, word: str, rest: str) -> None:
    # The word carries a password: the sentence shows none of it.
    parts = rest.split(":")
    if len(parts) != 2 or not parts[0]:
        raise UnknownArgument.of("b:", "needs a user and a password: write b:user:pass, neither with a colon")
    draft.basic.append(BasicAuth(parts[0], Secret(parts[1])))


def _bearer(draft: _Draft, word: str, rest: str) -> None:
    if not rest:
        raise UnknownArgument.of("k:", "needs a key: write k:key")
    draft.bearer.append(Secret(rest))


def _whitelist(draft: _Draft, word: str, rest: str) -> None:
    for text in rest.split(","):
        try:
            draft.whitelist.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            raise UnknownArgument.of(word, "has something that is no IPv4 or IPv6 address or network") from None


def _option(draft: _Draft, word: str, rest: str) -> None:
    name, colon, value = rest.partition(":")
    match name.lower():
        case "https" | "httpsonly" if not colon:
            draft.options["https_only"] = True
        case "xff":
            if value.lower() == "host":
                raise UnknownArgument.of(word, "is refused: Host says which tunnel is meant")
            draft.options["xff"] = _header_name(word, value) if colon else "X-Forwarded-For"
        case "fullurl" | "fullrequesturl" if not colon:
            draft.options["full_url"] = True
        case "localservertls":
            if colon and not _SNI.fullmatch(value):
                raise UnknownArgument.of(word, "has no well-formed server name")
            draft.options["local_tls"] = value if colon else "localhost"
        case "passpreflight" | "allowpreflight" if not colon:
            draft.options["pass_preflight"] = True
        case "noreverseproxy" if not colon:
            draft.options["reverse_proxy"] = False
        case "haproxy" if not colon or value in ("v1", "v2"):
            draft.options["haproxy"] = ProxyProtocol(value or "v1")
        case _:
            raise UnknownArgument.of(word)


_READERS = {
    "a": _add,
    "r": _remove,
    "u": _update,
    "b": _basic,
    "k": _bearer,
    "w": _whitelist,
    "x": _option,
}


def unserved(policy: Policy) -> str | None:
    """
    The first option of *policy* that is understood but not in force on any edge yet, as the user writes it.

    A tunnel is refused rather than served without what it asks for.
    """
    if policy.local_tls is not None:
        return "x:localServerTls"
    if policy.haproxy is not None:
        return "x:haproxy"
    return None

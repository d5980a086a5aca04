"""
Which labels may become public names: one label under the zone, LDH (RFC 1035 2.3.1), never one of the zone's own.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection

from pinggy.tunnel.refusals import MalformedName, NameNotOffered, echo

LONGEST_LABEL = 63
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)
_PORT_LABEL = re.compile(r"tcp-[0-9]+", re.ASCII)
# Without those that are read as one another (0 o, 1 l), and without s, so that no random name begins with "ns".
_ALPHABET = "abcdefghijkmnpqrtuvwxyz23456789"
_RANDOM_LENGTH = 14

SERVICE_LABELS = frozenset({"www", "mail", "wpad", "autodiscover", "localhost"})


def parse_label(text: str) -> str:
    """The label that *text* is, or `MalformedName` with the reason."""
    shown = echo(text)
    if not text:
        raise MalformedName("A name cannot be empty.")
    if len(text) > LONGEST_LABEL:
        raise MalformedName(f"The name {shown} is too long: {LONGEST_LABEL} characters at the most.")
    if not text.isascii() or text.lower().startswith("xn--"):
        raise MalformedName(f"The name {shown} is not plain ASCII: names take a-z, 0-9 and the hyphen.")
    if text != text.lower():
        raise MalformedName(f"The name {shown} has upper-case letters: write {echo(text.lower())}.")
    if not _LABEL.fullmatch(text):
        raise MalformedName(
            f"The name {shown} is not well formed: one label of a-z, 0-9 and inner hyphens, without dots."
        )
    return text


def is_service_label(label: str, regions: Collection[str], kept: Collection[str]) -> bool:
    """Whether *label* belongs to the zone itself: *regions*, name servers, well-known hosts, the operator's *kept*."""
    return (
        label in SERVICE_LABELS
        or label in regions
        or label in kept
        or label.startswith(("ns", "_", "*"))
        or _PORT_LABEL.fullmatch(label) is not None
    )


def offered_label(text: str, regions: Collection[str], kept: Collection[str]) -> str:
    """The label that *text* is, if a tunnel may have it. Raises `MalformedName` or `NameNotOffered`."""
    if is_service_label(text.lower(), regions, kept):
        raise NameNotOffered.of(text)
    return parse_label(text)


def label_of_host(host: str, domain: str) -> str | None:
    """
    The label of *host* directly under *domain*: ``x`` of ``x.a.example``; None for any other host.

    Both are normalised (`normal_host`).
    """
    label, dot, rest = host.partition(".")
    return label if dot and rest == domain and label else None


def normal_host(host: str) -> str:
    """
    A Host header or SNI value as names are compared: lower case, without port or trailing dot.

    An IPv6 literal keeps its brackets. What is not a host name at all stays what it is and is found nowhere.
    """
    if host.startswith("["):
        host = host.partition("]")[0] + "]"
    else:
        host = host.partition(":")[0]
    return host.lower().removesuffix(".")


def random_label() -> str:
    """An unguessable label: 69 random bits in 14 letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))


def port_label(port: int) -> str:
    """The label of the host of a reserved *port*: ``tcp-20001``. It stays when the tunnel moves to another edge."""
    return f"tcp-{port}"

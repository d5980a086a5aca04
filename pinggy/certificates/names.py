"""
The names of a certificate, and which host each of them covers (RFC 9525 6.3).

Names and hosts are as `normal_host` has them: lower case, no final dot; an IPv6 address is in brackets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol, TypeVar

from cryptography import x509

from pinggy.tunnel.names import normal_host


class Named(Protocol):
    @property
    def names(self) -> Collection[str]: ...

    @property
    def expires(self) -> float:
        """Seconds since 1970."""
        ...


N = TypeVar("N", bound=Named)


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """
    The hosts and addresses of its subjectAltName: what else is called a name in it counts for nobody (RFC 9525 2).

    Raises `ValueError` where that cannot be read.
    """
    try:
        listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    hosts = [normal_host(name) for name in listed.get_values_for_type(x509.DNSName)]
    addresses = [str(address) for address in listed.get_values_for_type(x509.IPAddress)]
    return frozenset(hosts + [f"[{address}]" if ":" in address else address for address in addresses])


def covers(names: Collection[str], host: str) -> bool:
    """Whether one of *names* is that of *host*."""
    return host in names or wildcard_of(host) in names


def wildcard_of(host: str) -> str:
    """The one name with an asterisk that covers *host*: it stands for the whole first label and for no more."""
    return "*." + host.partition(".")[2]


def by_name(certificates: Iterable[N]) -> dict[str, N]:
    """Which of them each name is served with: of several, the one that lives longest."""
    found: dict[str, N] = {}
    for each in certificates:
        for name in each.names:
            other = found.get(name)
            if other is None or other.expires < each.expires:
                found[name] = each
    return found


def most_exact(found: dict[str, N], host: str) -> N | None:
    """What *host* is served with: its own name counts more than one with an asterisk. None where nothing covers it."""
    return found.get(host) or found.get(wildcard_of(host))

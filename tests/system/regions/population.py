"""
The accounts of a run, each with one client: which names and ports it asks for, and what visitors expect there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

EDGES = ("us", "eu", "ap")
FIRST_PORT = 20000
CONTESTED = "contested"


class Scheme(StrEnum):
    HTTP = "http"
    TLS = "tls"  # not ended at the edge: chosen by its SNI
    TCP = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    What a visitor can ask for: a *name*, or for tcp a *port* (the name then tells the servers apart). *contested* names
    are taken by more than one account. *also* is a name of the same client, whose record leads to a port's edge.
    """

    scheme: Scheme
    name: str
    account: str
    port: int = 0
    contested: bool = False
    also: str = ""

    @property
    def bind(self) -> str:
        """What ``ssh -R`` asks for, before the ``:1:HOST:PORT``."""
        match self.scheme:
            case Scheme.HTTP:
                return self.name
            case Scheme.TLS:
                return f"tls//{self.name}"
            case Scheme.TCP:
                return f"tcp//x/{self.port}"

    def host(self, domain: str) -> str:
        """Whom a visitor asks the resolver for."""
        return f"{self.also or self.name}.{domain}"

    def shown(self) -> str:
        """What stands in the line of its URL."""
        return f":{self.port}" if self.scheme is Scheme.TCP else f"//{self.name}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One account: its client, what that forwards, and the edge that it begins at."""

    account: str
    targets: tuple[Target, ...]
    edges: tuple[str, ...] = field(default=EDGES)

    @property
    def names(self) -> tuple[str, ...]:
        """To be reserved."""
        return tuple(each.name for each in self.targets if each.scheme is not Scheme.TCP and not each.contested)

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(each.port for each in self.targets if each.scheme is Scheme.TCP)


def make_population(count: int, *, rivals: int = 2) -> tuple[Member, ...]:
    """
    *count* accounts with names of their own, every third with a TLS name, every third with a port too; and *rivals*
    who all want one name that nobody has reserved.
    """
    members = [_member(number) for number in range(count)]
    for number in range(rivals):
        account = f"rival{number}"
        target = Target(scheme=Scheme.HTTP, name=CONTESTED, account=account, contested=True)
        members.append(Member(account=account, targets=(target,), edges=_from(number)))
    return tuple(members)


def _member(number: int) -> Member:
    account = f"owner{number}"
    targets = [Target(scheme=Scheme.HTTP, name=f"web{number}", account=account)]
    if number % 3 == 1:
        targets.append(Target(scheme=Scheme.TLS, name=f"sealed{number}", account=account))
    if number % 3 == 2:
        targets.append(
            Target(
                scheme=Scheme.TCP, name=f"port{number}", account=account, port=FIRST_PORT + number, also=f"web{number}"
            )
        )
    return Member(account=account, targets=tuple(targets), edges=_from(number))


def _from(number: int) -> tuple[str, ...]:
    turn = number % len(EDGES)
    return EDGES[turn:] + EDGES[:turn]

"""
What the operator's command and the core say to each other.

Lists are answered as ``Many...`` with one row a thing; times are ISO 8601 in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinggy.settings import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    name: str
    created: str
    tokens: int = 0
    names: int = 0
    tunnels: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAccount:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """
    What may be seen of a token: its public *prefix*, never its secret. *newest_wins*: a tunnel that it identifies takes
    its names from older tunnels of the account, as with force.
    """

    prefix: str
    account: str
    comment: str
    created: str
    revoked: str | None = None
    newest_wins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    tokens: tuple[TokenRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddToken:
    account: str
    comment: str = ""
    newest_wins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetToken:
    """Whether of the tunnels that the token *prefix* identifies the newest wins, from the next one on."""

    prefix: str
    newest_wins: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """The only time that the whole token is said."""

    token: Secret
    prefix: str
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A registered public key; *fingerprint* as ``ssh-keygen -l`` prints it."""

    fingerprint: str
    account: str
    type: str
    comment: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddKey:
    """*line* is one line of an ``.pub`` file."""

    account: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedName:
    name: str
    account: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedNames:
    names: tuple[ReservedName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveName:
    account: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedPort:
    port: int
    account: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedPorts:
    ports: tuple[ReservedPort, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservePort:
    """*port* None: any free one of the range."""

    account: str
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """
    *seen* is when it was last heard, None for never. One that is *draining* takes no new tunnels. *latitude* (north)
    and *longitude* (east) are degrees, None where nobody has said where it is; *aws_region* is near it, or empty.
    """

    name: str
    region: str
    addresses: tuple[str, ...]
    created: str
    seen: str | None = None
    draining: bool = False
    tunnels: int = 0
    latitude: float | None = None
    longitude: float | None = None
    aws_region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddEdge:
    name: str
    region: str
    addresses: tuple[str, ...]
    latitude: float | None = None
    longitude: float | None = None
    aws_region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceEdge:
    """The edge *name* is there; both degrees None where nobody says so any more."""

    name: str
    latitude: float | None = None
    longitude: float | None = None
    aws_region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEdge:
    """The only time that the edge's secret is said."""

    name: str
    region: str
    secret: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelRow:
    """
    A tunnel, live or (in the history) ended. *forwardings* as ``http blog`` or ``tcp k3j...:20001``; *ended* and
    *reason* are None while it lives.
    """

    tunnel: str
    account: str | None
    edge: str
    address: str
    forwardings: tuple[str, ...]
    started: str
    live: bool
    received: int
    sent: int
    visitors: int
    ended: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnels:
    tunnels: tuple[TunnelRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneRow:
    """
    One name that should stand in the zone: *kind* CNAME, A, AAAA or LUA. *owner* is a tunnel's id, ``region`` or
    ``entry``.
    """

    name: str
    kind: str
    content: str
    epoch: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneServer:
    """*trouble* is why the server could not be asked, None where it answered."""

    url: str
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneDifference:
    """On the server *url* stands *stands* where *should* should; either is empty for nothing."""

    url: str
    name: str
    stands: str
    should: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    domain: str
    rows: tuple[ZoneRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneReport:
    """*mended*: whether the differences have been put right (those of servers without trouble)."""

    servers: tuple[ZoneServer, ...]
    differences: tuple[ZoneDifference, ...]
    mended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantKey:
    """The public half of the key that signs grants: base64 of the raw 32 bytes (RFC 8032)."""

    key: str

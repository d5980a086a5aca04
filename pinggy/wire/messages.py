"""
What an edge says to the core of itself and its tunnels, on one page.

An edge registers once when it starts; identifies a token or key when a client logs in; authorizes forwardings;
says live when the zone answers with them; renews all its tunnels in one message before the lease is over; and
releases what has ended. A refusal of a whole message is an HTTP error whose body is `Refused`. What the core wants of
edges is in `wire.orders`, where names live in `wire.places`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pinggy.settings import Secret
from pinggy.tunnel.grant import Forwarding, Identity, Limits
from pinggy.tunnel.request import Kind
from pinggy.wire.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """*number* is the want's; 0 for a whole message."""

    TAG: ClassVar[str] = "refused"
    code: str
    text: str
    number: int = 0


# -- whose tunnel ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Nobody:
    """The credential of an anonymous tunnel."""

    TAG: ClassVar[str] = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByToken:
    TAG: ClassVar[str] = "token"
    token: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ByKey:
    """*fingerprint* as ``ssh-keygen -l`` prints it, ``SHA256:...``; the edge has verified the signature."""

    TAG: ClassVar[str] = "key"
    fingerprint: str


Credential = Nobody | ByToken | ByKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Identify:
    """Answered by `Identity`, or refused (`TokenMistyped`, `TokenUnknown`, `KeyUnknown`)."""

    credential: Credential


# -- an edge --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """
    *instance* is random for each start of the edge: tunnels of an earlier instance are over, the core ends them.
    *host_keys* are the fingerprints (``SHA256:...``) that its clients see. *relay_port* is where it takes visitors from
    other edges, at the first of its addresses; None where it takes none.
    """

    instance: str
    host_keys: tuple[str, ...] = ()
    relay_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """
    *region* is the edge's label in the zone; *lease* is seconds: renew well within it. *orders* is where the stream of
    orders to this instance begins. *grant_key* is the public key that tickets are checked with (base64 of 32 bytes),
    empty where the core signs none. *report* is the seconds between two reports. *places* are the ports that it shall
    listen at for other edges of its region.
    """

    edge: str
    region: str
    domain: str
    lease: float
    orders: int = 0
    grant_key: str = ""
    report: float = 60.0
    places: tuple[Place, ...] = ()


# -- a tunnel -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """
    One forwarding asked for. *name* is what the client typed, unchecked, without the domain; None for the default.
    *port* is the public port asked for (tcp). *number* counts from 1 within the tunnel.
    """

    number: int
    kind: Kind
    name: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorize:
    """
    Asks for forwardings. The edge chooses the *tunnel*'s id (32 hex digits, random): so it can release a grant whose
    answer it never heard.

    A second message with the same id extends the grant. *address* is the client's, in text. With *force* the
    names are taken from other tunnels of the same account at once. *taken_ports* could not be bound: not these.
    *ticket* is the tunnel's, if it has one: the new one is for its forwardings too.
    """

    tunnel: str
    credential: Credential
    address: str
    wants: tuple[Want, ...]
    force: bool = False
    taken_ports: tuple[int, ...] = ()
    ticket: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """*proof* is what the core signed of the name's record (`wire.proof`); empty where it signs none."""

    TAG: ClassVar[str] = "granted"
    forwarding: Forwarding
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorized:
    """
    One of *results* for each want, in their order. *expires_in* is seconds from now, None for no end.
    *lost* are older tunnels, of any edge, that have lost a name to this one. *ticket* is the core's signed word for
    all of it, by which the tunnel may be resumed while the core is away (`wire.ticket`); empty where there is none.
    """

    identity: Identity
    limits: Limits
    results: tuple[Granted | Refused, ...]
    expires_in: float | None = None
    lost: tuple[Lost, ...] = ()
    ticket: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The zone's servers answer with these *numbers* of the tunnel. Refused where the tunnel is over."""

    tunnel: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a tunnel has carried since it began: bytes to the client, bytes from it, visitors."""

    tunnel: str
    received: int = 0
    sent: int = 0
    visitors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """All tunnels that the edge holds, each with its usage. *tickets*, of some of them, shall be good for longer."""

    instance: str
    tunnels: tuple[Usage, ...]
    tickets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A tunnel that is over in the ledger: the edge closes it and tells its client the *text*."""

    tunnel: str
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """*tickets* are new ones for those shown, in any order."""

    lost: tuple[Lost, ...] = ()
    tickets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """
    The tunnel has ended for the reason *code*; or, where *numbers* are given, only these forwardings of it have.

    Harmless when repeated, late, or about a tunnel that the core never knew.
    """

    tunnel: str
    code: str
    numbers: tuple[int, ...] | None = None
    usage: Usage | None = None


# -- what an edge says of itself ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining:
    """The edge takes no new tunnels, and is sending those that it has away."""

    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A name that visitors are served by at the edge: the label, its epoch, whose it is."""

    tunnel: str
    name: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    All that the edge holds of the names after *after* up to *upto* (None: to the last), in the order of their
    characters; whatever has one of these names and is not among *holdings*, the edge does not hold. What the ledger
    says otherwise is put right, there or by orders.
    """

    instance: str
    holdings: tuple[Holding, ...]
    after: str = ""
    upto: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Said and nothing to add."""

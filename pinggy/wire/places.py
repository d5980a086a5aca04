"""
Where a name lives: what edges ask the core when a visitor names a tunnel that they do not have, and by what
certificates they know each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinggy.tunnel.request import Kind

# What an edge's certificate calls it, before its name: the one URI among its alternative names (RFC 5280 4.2.1.6).
EDGE_URI = "pinggy-edge:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    The label *name* lives at the edge *edge*, by *epoch*. That edge takes visitors from other edges at the IP address
    *host* and TCP port *port*. *public_port* is the forwarding's own, for tcp.
    """

    name: str
    kind: Kind
    epoch: int
    edge: str
    host: str
    port: int
    public_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """
    Answered by a `Place`, or refused (`NotFound`) where nobody has the label *name*. While the name is changing hands,
    the answer waits for the new owner, some 2 s at most.

    *beyond*: an owner of this epoch or a lower one has turned out not to have it any more; a newer one is wanted.
    """

    name: str
    beyond: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Certify:
    """
    An edge wants a certificate that other edges believe. *request* is a certificate signing request (PKCS #10, PEM);
    of it the public key alone counts.
    """

    instance: str
    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """
    *certificate* is the edge's and *authority* what the others' are signed by (PEM both). Ask for another one in
    *renew_in* seconds.
    """

    certificate: str
    authority: str
    renew_in: float

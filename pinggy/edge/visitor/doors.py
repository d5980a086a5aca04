"""
What meets a visitor who speaks HTTP, made for each: `WebVisitor` or, where he chose it, `H2Visitor`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from twisted.internet.interfaces import IReactorTime

from pinggy.edge.client import Peer
from pinggy.edge.elsewhere import Elsewhere
from pinggy.edge.tunnels import Tunnels
from pinggy.edge.visitor.h2.connection import H2Visitor
from pinggy.edge.visitor.limits import WebLimits
from pinggy.edge.visitor.route import Route
from pinggy.edge.visitor.secured import Secured
from pinggy.edge.visitor.web import WebVisitor
from pinggy.tunnel.addresses import PublicFace


@dataclass(frozen=True, slots=True, kw_only=True)
class WebDoors:
    """For *secured*, *only* and *last_hop* see `Route`."""

    tunnels: Tunnels
    face: PublicFace
    clock: IReactorTime
    limits: WebLimits

    def web(
        self,
        elsewhere: Elsewhere,
        peer: Peer,
        secure: bool,
        secured: Secured | None,
        only: str | None = None,
        last_hop: bool = False,
    ) -> WebVisitor:
        return WebVisitor(
            tunnels=self.tunnels,
            face=self.face,
            peer=peer,
            secure=secure,
            clock=self.clock,
            limits=self.limits,
            elsewhere=elsewhere,
            secured=secured,
            only=only,
            last_hop=last_hop,
        )

    def h2(self, elsewhere: Elsewhere, peer: Peer, secured: Secured, only: str | None = None) -> H2Visitor:
        way = partial(
            Route,
            tunnels=self.tunnels,
            face=self.face,
            secure=True,
            elsewhere=elsewhere,
            clock=self.clock,
            only=only,
            secured=secured,
        )
        return H2Visitor(way=way, peer=peer, clock=self.clock, limits=self.limits)

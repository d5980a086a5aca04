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
from pinggy.edge.visitor.route import Route
from pinggy.edge.visitor.web import WebLimits, WebVisitor
from pinggy.tunnel.addresses import PublicFace


@dataclass(frozen=True, slots=True, kw_only=True)
class WebDoors:
    """For *only* and *last_hop* see `Route`; *server_name* is the host of the SNI."""

    tunnels: Tunnels
    face: PublicFace
    clock: IReactorTime
    limits: WebLimits

    def web(
        self,
        elsewhere: Elsewhere,
        peer: Peer,
        secure: bool,
        server_name: str | None,
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
            server_name=server_name,
            only=only,
            last_hop=last_hop,
        )

    def h2(self, elsewhere: Elsewhere, peer: Peer, server_name: str | None, only: str | None = None) -> H2Visitor:
        way = partial(
            Route,
            tunnels=self.tunnels,
            face=self.face,
            secure=True,
            elsewhere=elsewhere,
            clock=self.clock,
            only=only,
        )
        return H2Visitor(way=way, peer=peer, clock=self.clock, limits=self.limits)

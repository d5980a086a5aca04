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
from pinggy.edge.visitor.route import Route, Way
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
        """Of the last hop, TLS was ended at another edge."""
        return WebVisitor(
            way=self._way(elsewhere, secure, secured, only, last_hop),
            peer=peer,
            clock=self.clock,
            limits=self.limits,
            over_tls=secure and not last_hop,
            server_name=None if secured is None else secured.server_name,
            last_hop=last_hop,
        )

    def h2(self, elsewhere: Elsewhere, peer: Peer, secured: Secured, only: str | None = None) -> H2Visitor:
        return H2Visitor(
            way=self._way(elsewhere, True, secured, only, False), peer=peer, clock=self.clock, limits=self.limits
        )

    def _way(
        self, elsewhere: Elsewhere, secure: bool, secured: Secured | None, only: str | None, last_hop: bool
    ) -> Way:
        return partial(
            Route,
            tunnels=self.tunnels,
            face=self.face,
            secure=secure,
            elsewhere=elsewhere,
            clock=self.clock,
            only=only,
            last_hop=last_hop,
            secured=secured,
        )

"""
A connection to a local server that speaks HTTP/2, over a leg of its own.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pinggy.edge.client import Peer
from pinggy.edge.local.h2.connection import H2Upstream
from pinggy.edge.local.leg import open_leg
from pinggy.edge.stream import Stream
from pinggy.edge.tunnels import LiveForwarding
from pinggy.tunnel.policy import Policy

# What is offered by ALPN where TLS is spoken (RFC 9113 3.2). A server that chooses nothing is believed to be what the
# owner says.
_PROTOCOLS = ("h2",)


def connect(live: LiveForwarding, policy: Policy, visitor: Peer, *, clock: IReactorTime) -> Deferred[H2Upstream]:
    """Made because *visitor* asks; under x:haproxy it is his. Fails with `StreamRefused`."""

    def opened(stream: Stream) -> H2Upstream:
        scheme = b"http" if policy.local_tls is None else b"https"
        upstream = H2Upstream(live.tunnel, stream, clock, leg=policy.leg, scheme=scheme)
        upstream.begin()
        return upstream

    return open_leg(live, policy, visitor, clock=clock, protocols=_PROTOCOLS).addCallback(opened)

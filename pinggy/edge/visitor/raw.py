"""
Policy before bytes: whom a tunnel admits, and how an admitted visitor of a raw tunnel gets its stream.
"""

from __future__ import annotations

import ipaddress

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.client import Peer
from pinggy.edge.local.leg import open_leg
from pinggy.edge.relay import Relay
from pinggy.edge.stream import StreamRefused
from pinggy.edge.tunnels import LiveForwarding
from pinggy.tunnel.policy import Policy
from pinggy.tunnel.refusals import Refusal

_log = Logger()


class NotAdmitted(Exception):
    """The whitelist does not have the visitor's address."""


def admitted(live: LiveForwarding, visitor: Peer) -> Deferred[Policy]:
    """
    Fires with the policy when it is in force and lets *visitor* in.

    Fails with `NotAdmitted`, or with the `Refusal` that ended the tunnel before its policy was in force.
    """

    def check(policy: Policy) -> Policy:
        if policy.whitelist and not policy.admits(ipaddress.ip_address(visitor.host)):
            raise NotAdmitted
        return policy

    return live.tunnel.policy().addCallback(check)


def relay_to(live: LiveForwarding, visitor: Peer, relay: Relay, clock: IReactorTime) -> None:
    """
    Join *relay*, which has its transport, to a new stream of *live*; or refuse it, without a byte either way.

    A visitor who leaves before the policy is in force is forgotten. A stream that has been asked for is awaited
    nevertheless, since the client opens it whether it is wanted or not; the relay then closes it.
    """

    def open_stream(policy: Policy) -> None:
        relay.admit(live.tunnel, visitor.host)
        live.tunnel.visited()
        open_leg(live, policy, visitor, clock=clock).addCallbacks(relay.join, refuse).addErrback(failed)

    def refuse(failure: Failure) -> None:
        if failure.check(CancelledError) is None:  # then the visitor has left
            failure.trap(NotAdmitted, Refusal, StreamRefused)
            relay.refuse()

    def failed(failure: Failure) -> None:
        _log.failure("a visitor could not be relayed", failure=failure)
        relay.refuse()

    waiting = admitted(live, visitor)
    relay.await_stream(waiting)
    waiting.addCallbacks(open_stream, refuse).addErrback(failed)

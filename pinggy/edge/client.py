"""
The seam between tunnels and ways in: what a tunnel needs of its client, whatever way it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred

from pinggy.edge.stream import Stream
from pinggy.http.proxyprotocol import Endpoint, plain_host
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Peer:
    """
    Somebody's address, as the socket says it, or a load balancer that is trusted: *host* is an IPv4 or IPv6 address in
    text. *came_to* is the public address that he has connected to, where it is known.
    """

    host: str
    port: int
    came_to: Endpoint | None = field(default=None, compare=False)

    @property
    def ends(self) -> tuple[Endpoint, Endpoint]:
        """Of his connection, as a PROXY header says them: his, and ours, which is all zeros where it is not known."""
        host = plain_host(self.host)
        if self.came_to is None:
            ours = Endpoint("::" if ":" in host else "0.0.0.0", 0)
        else:
            ours = Endpoint(plain_host(self.came_to.host), self.came_to.port)
        return Endpoint(host, self.port), ours


class Client(Protocol):
    @property
    def peer(self) -> Peer: ...

    def open_stream(self, forwarding: Forwarding, visitor: Peer) -> Deferred[Stream]:
        """A new stream to the local server behind *forwarding*. Fails with `StreamRefused`."""
        ...

    def probe(self) -> Deferred[None]:
        """Fires when the client has answered a ping; the caller sets the bound and cancels."""
        ...

    def tell(self, code: str, text: str) -> None:
        """Show the client one line; *code* is for programs."""
        ...

    def announce(self, reason: Refusal) -> None:
        """The tunnel is over, but visitors are being served still: tell the client why. `leave` follows."""
        ...

    def leave(self, reason: Refusal) -> None:
        """The tunnel is over: tell the client why, unless it knows, and close the connection."""
        ...


class Watcher(Protocol):
    """Who is told what becomes of a tunnel: the terminal."""

    def opened(self, forwarding: Forwarding) -> None: ...

    def refused(self, refusal: Refusal) -> None: ...

    def settled(self) -> None:
        """Every forwarding asked for so far has been answered."""
        ...

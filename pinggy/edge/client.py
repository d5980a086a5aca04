"""
The seam between tunnels and ways in: what a tunnel needs of its client, whatever way it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from pinggy.edge.stream import Stream
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody's address as the socket says it: *host* is an IPv4 or IPv6 address in text."""

    host: str
    port: int


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

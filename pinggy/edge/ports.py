"""
The seam between a tunnel and the public TCP ports of its edge.
"""

from __future__ import annotations

from typing import Protocol

from pinggy.edge.tunnels import LiveForwarding


class PortTaken(Exception):
    """Another program on this edge listens at the port."""


class BoundPort(Protocol):
    """A public port that listens; visitors who come before `serve` are turned away."""

    def serve(self, live: LiveForwarding) -> None: ...

    def close(self) -> None: ...


class Ports(Protocol):
    def bind(self, port: int) -> BoundPort:
        """Raises `PortTaken`."""
        ...

"""
How a tunnel that lived ends: refusals as well, for its client reads why, and the history keeps the code.
"""

from __future__ import annotations

from pinggy.tunnel.refusals import Refusal, echo


class Expired(Refusal):
    code = "expired"
    status = 410

    @classmethod
    def of(cls) -> Expired:
        return cls("Your tunnel has expired: start it again for a new one.")


class TakenOver(Refusal):
    code = "taken-over"
    status = 410

    @classmethod
    def of(cls, address: str) -> TakenOver:
        return cls(f"Taken over: a newer session from {echo(address)} has started with force.")

    @classmethod
    def by_newest(cls, address: str) -> TakenOver:
        return cls(f"Taken over: a newer session from {echo(address)} has started, and of your token the newest wins.")


class EdgeCutOff(Refusal):
    """The core did not hear of the edge any more when a newer session came."""

    code = "edge-cut-off"
    status = 410

    @classmethod
    def of(cls, address: str) -> EdgeCutOff:
        return cls(f"Taken over: a newer session from {echo(address)} has started while this edge was cut off.")


class ClientSilent(Refusal):
    code = "client-silent"
    status = 410

    @classmethod
    def of(cls, seconds: float) -> ClientSilent:
        return cls(f"Your ssh did not answer for {seconds:g} seconds: the tunnel is closed.")


class NoCommand(Refusal):
    code = "no-command"
    status = 400

    @classmethod
    def of(cls, seconds: float) -> NoCommand:
        return cls(f"A session was opened but asked for nothing in {seconds:g} seconds: the tunnel is closed.")


class ClosedByOperator(Refusal):
    code = "closed-by-operator"
    status = 410

    @classmethod
    def of(cls) -> ClosedByOperator:
        return cls("The operator has closed this tunnel.")


class LeaseLost(Refusal):
    code = "lease-lost"
    status = 410

    @classmethod
    def of(cls) -> LeaseLost:
        return cls("The core no longer knows this tunnel: start it again.")


class NotHeld(Refusal):
    """The edge says that it does not have what the ledger says it has; the history keeps the code."""

    code = "not-held"
    status = 410

    @classmethod
    def of(cls) -> NotHeld:
        return cls("The edge has lost this tunnel: start it again.")


class EdgeStopping(Refusal):
    code = "edge-stopping"
    status = 503

    @classmethod
    def of(cls) -> EdgeStopping:
        return cls("This edge is stopping: start the tunnel again.")


class EdgeDraining(Refusal):
    """Its client is expected back soon, at another edge."""

    code = "edge-draining"
    status = 503

    @classmethod
    def of(cls) -> EdgeDraining:
        return cls("This edge is being taken out of service: connect again, another one answers.")


class ClientLeft(Refusal):
    """The client is gone; nobody reads the text, the history keeps the code."""

    code = "client-left"
    status = 410

    @classmethod
    def of(cls) -> ClientLeft:
        return cls("The client closed the connection.")

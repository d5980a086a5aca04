"""
The metrics of an edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from pinggy.edge.stalls import Stalls
from pinggy.metrics.metrics import Metrics
from pinggy.tunnel.refusal_codes import codes
from pinggy.wire.orders import Order

STEPS = ("authorize", "publish", "probe", "live")
MODES = ("tls", "http", "tcp")
ORDERS = tuple(each.TAG for each in get_args(Order))
# Why a visitor who came by relay, or should have gone by it, was turned away.
RELAY_REFUSALS = ("not-here", "unknown", "unreachable", "hop", "limit")


class EdgeMetrics(Metrics):
    """What happens at an edge, told by who does it. *stalls* is moved by the streams themselves."""

    def __init__(self) -> None:
        super().__init__("pinggy_edge")
        self._dns_publish = self._seconds_by("dns_publish", "One write of names to a server of the zone.", "server")
        self._dns_probe = self._seconds_by("dns_probe", "Asking a server of the zone for a name, and again.", "server")
        self.stalls = Stalls()
        self._set_up = self._steps(
            "setup", "Seconds of setting up a batch of forwardings, by step.", "step", (*STEPS, "all")
        )
        self._pings = self._seconds("client_ping", "Until a client answered a ping.")
        self._ended = self._words("tunnels_ended", "Tunnels that have ended, by why.", "reason", codes())
        self._refused = self._words("refusals", "Forwardings that were refused, by why.", "code", codes())
        self._logins = self._words("logins_refused", "Logins that were refused, by why.", "code", codes())
        self._orders = self._words("orders", "Orders of the core that were carried out.", "kind", ORDERS)
        self._relayed_out = self._words("relayed_out", "Visitors relayed to another edge.", "mode", MODES)
        self._relayed_in = self._words("relayed_in", "Visitors that another edge relayed to here.", "mode", MODES)
        self._relay_refused = self._words(
            "relay_refused", "Visitors that could not be relayed, by why.", "why", RELAY_REFUSALS
        )
        stalls = self.stalls
        self._totals(
            "window_stalls",
            "How often a stream had to wait: its client's window was full, or its visitor took no more.",
            "waits_for",
            lambda: {"client": stalls.client.total, "visitor": stalls.visitor.total},
        )
        self._gauges(
            "streams_stalled",
            "Streams that wait now: for their client's window, or for their visitor.",
            "waits_for",
            lambda: {"client": stalls.client.now, "visitor": stalls.visitor.now},
        )

    # -- servers of the zone (`pinggy.dns.powerdns.lane.Timed`) -----------------------------------------------------

    def wrote(self, server: str, seconds: float) -> None:
        self._dns_publish.labels(server).observe(seconds)

    def asked(self, server: str, seconds: float) -> None:
        self._dns_probe.labels(server).observe(seconds)

    # -- tunnels ----------------------------------------------------------------------------------------------------

    def opened(self, steps: Mapping[str, float]) -> None:
        """A batch of forwardings is live: the seconds that each step took."""
        for step, seconds in steps.items():
            self._set_up.took(step, seconds)
        self._set_up.took("all", sum(steps.values()))

    def ended(self, code: str) -> None:
        """A tunnel has ended, for the reason *code*."""
        self._ended.count(code)

    def refused(self, code: str) -> None:
        """A forwarding was refused with *code*."""
        self._refused.count(code)

    def login_refused(self, code: str) -> None:
        self._logins.count(code)

    def pinged(self, seconds: float) -> None:
        """A client has answered a ping."""
        self._pings.observe(seconds)

    def carried_out(self, kind: str) -> None:
        """An order of the core, by its tag."""
        self._orders.count(kind)

    # -- between edges ----------------------------------------------------------------------------------------------

    def relayed_out(self, mode: str) -> None:
        """A visitor of here goes to another edge; *mode* is one of `MODES`."""
        self._relayed_out.count(mode)

    def relayed_in(self, mode: str) -> None:
        """A visitor of another edge comes to here."""
        self._relayed_in.count(mode)

    def relay_refused(self, why: str) -> None:
        """*why* is one of `RELAY_REFUSALS`."""
        self._relay_refused.count(why)

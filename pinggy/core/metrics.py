"""
The metrics of a core.
"""

from __future__ import annotations

from pinggy.metrics.metrics import Metrics

# How a name came to a new tunnel while an old one had it.
TAKEOVERS = ("dead", "lease-over", "unreachable", "force", "newest-wins")
SWEPT = ("lease-lost", "expired")
# What edges said and the ledger did not.
DIFFERENCES = ("unknown-tunnel", "unknown-name", "not-held")


class CoreMetrics(Metrics):
    """What happens at a core, told by who does it."""

    def __init__(self) -> None:
        super().__init__("pinggy_core")
        self._dns_publish = self._seconds_by("dns_publish", "One write of names to a server of the zone.", "server")
        self._dns_probe = self._seconds_by("dns_probe", "Asking a server of the zone for a name, and again.", "server")
        self._transactions = self._steps(
            "transaction",
            "Work with the database, from the wait for a connection to the commit.",
            "kind",
            ("transact", "look"),
        )
        self._statements = self._seconds("statement", "One message to the database and its answer.")
        self._takeovers = self._words(
            "takeovers", "Names that were taken over from a tunnel, by how.", "how", TAKEOVERS
        )
        self._swept = self._words(
            "tunnels_swept", "Tunnels ended without their edge: their lease was over, or their time.", "why", SWEPT
        )
        self._reported = self._words(
            "report_differences",
            "Names of which an edge said what the ledger did not, by what.",
            "what",
            DIFFERENCES,
        )
        self._found = self._counter("zone_differences", "Names that differed from the ledger at a server of the zone.")
        self._mended = self._counter("zone_mended", "Names that were put right at a server of the zone.")

    # -- servers of the zone (`pinggy.dns.powerdns.lane.Timed`) -----------------------------------------------------

    def wrote(self, server: str, seconds: float) -> None:
        self._dns_publish.labels(server).observe(seconds)

    def asked(self, server: str, seconds: float) -> None:
        self._dns_probe.labels(server).observe(seconds)

    # -- the database -----------------------------------------------------------------------------------------------

    def worked(self, kind: str, seconds: float) -> None:
        """A piece of work is over, well or not: ``transact`` or ``look``."""
        self._transactions.took(kind, seconds)

    def stated(self, seconds: float) -> None:
        """The database has answered one message."""
        self._statements.observe(seconds)

    # -- tunnels ----------------------------------------------------------------------------------------------------

    def taken_over(self, how: str) -> None:
        """A tunnel has lost a name to another one; *how* is one of `TAKEOVERS`."""
        self._takeovers.count(how)

    def swept(self, lost: int, expired: int) -> None:
        self._swept.count("lease-lost", lost)
        self._swept.count("expired", expired)

    def report_differs(self, what: str) -> None:
        """An edge serves what it should not, or not what it should; *what* is one of `DIFFERENCES`."""
        self._reported.count(what)

    # -- the zone ---------------------------------------------------------------------------------------------------

    def zone_differs(self, names: int) -> None:
        """So many *names* of one server are not what they should be."""
        self._found.inc(names)

    def zone_mended(self, names: int) -> None:
        self._mended.inc(names)

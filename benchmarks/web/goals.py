"""
What visitors shall meet, and what they met.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.leg.report import Report
from benchmarks.web import ways

KEEP_ALIVE = "HTTP requests, keep-alive, 32 connections"
CLOSE = "HTTP requests, one per connection, 32 at once"
DOWNLOAD = "one download"
UPLOAD = "one upload"
FULL = "full TLS handshakes"
RESUMED = "resumed TLS handshakes"
ADDED = "added latency p99, 100 requests/s"
MANY = "HTTP requests by https, 32 at once"
SOCKETS = "memory per open websocket"
FIRST_BYTE = "first byte of an event stream after it was written"
NGINX = "nginx, one worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """
    *wanted* is a part of what *other* has in the same measure, or, where there is none, what *measure* shall be below.
    """

    measure: str
    server: str
    wanted: float
    other: str | None = None
    unit: str = "x"

    def line(self, report: Report) -> str | None:
        """Nothing where it was not measured."""
        value = report.median(self.measure, self.server)
        if value is None:
            return None
        if self.other is None:
            is_met, came, wanted = value < self.wanted, value, f"< {self.wanted:g}"
        else:
            base = report.median(self.measure, self.other)
            if not base:
                return None
            came = value / base
            is_met, wanted = came >= self.wanted, f"{self.wanted:g}"
        to = f" to {self.other}" if self.other else ""
        return (
            f"    {self.measure}: {self.server}{to}".ljust(100)
            + f"{wanted:>8} {came:8.2f} {self.unit:3}{'' if is_met else '  short'}"
        )


GOALS = (
    Goal(measure=KEEP_ALIVE, server=ways.HTTP, other=ways.RAW, wanted=0.7),
    Goal(measure=KEEP_ALIVE, server=ways.HTTP, other=ways.SSHD, wanted=0.6),
    Goal(measure=CLOSE, server=ways.HTTP, other=ways.SSHD, wanted=1.5),
    Goal(measure=DOWNLOAD, server=ways.HTTP, other=ways.RAW, wanted=0.9),
    Goal(measure=UPLOAD, server=ways.HTTP, other=ways.RAW, wanted=0.9),
    Goal(measure=DOWNLOAD, server=ways.HTTPS, other=ways.RAW, wanted=0.5),
    Goal(measure=UPLOAD, server=ways.HTTPS, other=ways.RAW, wanted=0.5),
    Goal(measure=FULL, server=ways.HTTPS, other=NGINX, wanted=0.5),
    Goal(measure=RESUMED, server=ways.HTTPS, other=NGINX, wanted=0.5),
    Goal(measure=ADDED, server=ways.HTTP, wanted=3, unit="ms"),
    Goal(measure=ADDED, server=ways.HTTPS, wanted=3, unit="ms"),
    Goal(measure=MANY, server=ways.H2, other=ways.HTTPS, wanted=0.3),
    Goal(measure=SOCKETS, server=ways.HTTP, wanted=40, unit="KB"),
    Goal(measure=SOCKETS, server=ways.HTTPS, wanted=40, unit="KB"),
    Goal(measure=FIRST_BYTE, server=ways.HTTP, wanted=5, unit="ms"),
    Goal(measure=FIRST_BYTE, server=ways.HTTPS, wanted=5, unit="ms"),
)


def table(report: Report) -> str:
    lines = [line for goal in GOALS if (line := goal.line(report)) is not None]
    return "\n".join([f"{'':100}{'wanted':>8} {'came':>8}", *lines])

"""
The setting of the metrics' port.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinggy.sockets import Socket, parse_socket


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """*listen* is where Prometheus asks, ``127.0.0.1:9471``; empty: nowhere."""

    listen: str = ""

    def __post_init__(self) -> None:
        if self.listen:
            try:
                parse_socket(self.listen)
            except ValueError as error:
                raise ValueError(f"listen: {error}") from None

    @property
    def socket(self) -> Socket | None:
        return parse_socket(self.listen) if self.listen else None

"""
What a gate knows anyway, read when somebody asks for its metrics.
"""

from __future__ import annotations

from pinggy.certificates.store import Certificates
from pinggy.gate.door import Door
from pinggy.gate.epochs import Epochs, EpochsUnusable
from pinggy.metrics.metrics import Metrics


class GateReadings(Metrics):
    def __init__(self, door: Door, epochs: Epochs, certificates: Certificates | None) -> None:
        super().__init__("pinggy_gate")
        self._epochs = epochs
        self._certificates = certificates
        self._gauge("powerdns_away", "1 while PowerDNS takes no changes.", lambda: float(door.away))
        self._gauge("epochs_known", "Names whose epoch is remembered, standing or withdrawn.", self._known)
        self._gauge(
            "certificate_expiry_timestamp_seconds", "When the gate's certificate runs out.", self._certificate_expires
        )

    def _known(self) -> float | None:
        try:
            return self._epochs.count()
        except EpochsUnusable:
            # Whoever writes is told, and the log says it.
            return None

    def _certificate_expires(self) -> float | None:
        return None if self._certificates is None else self._certificates.expires

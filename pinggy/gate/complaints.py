"""
What strangers do wrong goes into the log: at most one line in a while, with the count of those that were left out.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pinggy.dns.powerdns.changes import Refused
from pinggy.tunnel.refusals import echo

SECONDS_BETWEEN = 10.0


class Complaints:
    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._not_before = clock.seconds()
        self._left_out = 0

    def add(self, refused: Refused, address: str) -> None:
        """*address* is whose request it was."""
        if self._clock.seconds() < self._not_before:
            self._left_out += 1
            return
        self._log.warn(
            "refused a change of {name} from {address}: {why} ({left_out} others since the last such line)",
            name=echo(refused.name),
            address=address,
            why=refused.why,
            left_out=self._left_out,
        )
        self._left_out = 0
        self._not_before = self._clock.seconds() + SECONDS_BETWEEN

"""
Is a server up? One line when that changes, and a question now and then while it is down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.dns.powerdns.writer import ServerAway
from pinggy.dns.zone import ZoneError

# Seconds between two questions to a server that is down: doubled from the first to the last.
FIRST_WAIT = 1.0
LAST_WAIT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """*since* is in seconds of the clock; *why* it is down, or was the last time; empty where it never was."""

    up: bool
    since: float
    why: str = ""


class Health:
    """
    The server *name* is taken to be up until `down` says otherwise; then *question* (fires where all is well, fails
    with `ServerAway` or `ZoneError`) is asked until it is answered, and *returned* is called.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        name: str,
        question: Callable[[], Deferred[None]],
        returned: Callable[[], None],
    ) -> None:
        self.state = ServerState(up=True, since=clock.seconds())
        self._clock = clock
        self._name = name
        self._question = question
        self._returned = returned
        self._wait = FIRST_WAIT
        self._was_down = False
        self._asked = 0.0
        self._later: IDelayedCall | None = None
        self._asking: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._stopped = False

    def down(self, why: str) -> None:
        """It did not do what it should."""
        if not self.state.up or self._stopped:
            return
        self._log.warn("the DNS server {name} is down and not waited for: {why}", name=self._name, why=why)
        now = self._clock.seconds()
        # One that answers the question and fails at the work comes and goes ever more slowly.
        again = self._was_down and now - self.state.since < LAST_WAIT
        self._wait = min(2 * self._wait, LAST_WAIT) if again else FIRST_WAIT
        self._was_down = True
        self.state = ServerState(up=False, since=now, why=why)
        self._asked = now
        self._later = self._clock.callLater(self._wait, self._ask)

    def ask_now(self) -> Deferred[None]:
        """
        Ask a server that is down ahead of time; fires when the answer is there, or at once where it was asked within
        the last second.
        """
        if self.state.up or self._stopped:
            return succeed(None)
        if self._asking is None:
            if self._clock.seconds() - self._asked < FIRST_WAIT:
                return succeed(None)
            self._ask()
        if self._asking is None:
            return succeed(None)
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def stop(self) -> None:
        """Ask no more."""
        self._stopped = True
        self._forget_later()
        if self._asking is not None:
            self._asking.cancel()

    def _forget_later(self) -> None:
        if self._later is not None and self._later.active():
            self._later.cancel()
        self._later = None

    def _ask(self) -> None:
        self._forget_later()
        self._asked = self._clock.seconds()
        asking = self._asking = self._question()
        asking.addCallbacks(self._up, self._still_down)
        asking.addBoth(self._answered)

    def _up(self, _: None) -> None:
        was, self.state = self.state, ServerState(up=True, since=self._clock.seconds(), why=self.state.why)
        away = self.state.since - was.since
        self._log.info("the DNS server {name} is back after {away:.1f} s", name=self._name, away=away)
        self._returned()

    def _still_down(self, failure: Failure) -> None:
        if self._stopped:
            return
        if not failure.check(ServerAway, ZoneError):
            self._log.failure("the question to {name} broke", failure, name=self._name)
        self.state = ServerState(up=False, since=self.state.since, why=failure.getErrorMessage())
        self._wait = min(2 * self._wait, LAST_WAIT)
        self._later = self._clock.callLater(self._wait, self._ask)

    def _answered(self, _: object) -> None:
        self._asking = None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

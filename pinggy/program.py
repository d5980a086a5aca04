"""
Another program, run to its end: bounded in time and in what it may say.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

_MOST_KEPT = 64 * 1024
# What a child needs of our environment: where programs and their words are.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """*status* is the exit status, None where a signal ended it; *said* its last words, on either output."""

    status: int | None
    said: str


class Program(ProcessProtocol):
    """*command*, to which *said* is said. It is killed after *timeout* seconds. *over* fires when it has ended."""

    def __init__(self, reactor: Any, command: Sequence[str], said: bytes = b"", *, timeout: float) -> None:
        self.over: Deferred[Outcome] = Deferred()
        self._to_say = said
        self._heard = b""
        self._bound: IDelayedCall = reactor.callLater(timeout, self.kill)
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        reactor.spawnProcess(self, command[0], list(command), environment)

    def kill(self) -> None:
        if self.transport is not None:
            with contextlib.suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self._to_say)
        transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self._heard = (self._heard + data)[-_MOST_KEPT:]

    def processEnded(self, reason: Failure) -> None:
        if self._bound.active():
            self._bound.cancel()
        ended = reason.value
        status = ended.exitCode if isinstance(ended, (ProcessDone, ProcessTerminated)) else None
        self.over.callback(Outcome(status=status, said=self._heard.decode("utf-8", "replace").strip()))

"""
One of PostgreSQL's programs as a child: what it says, when it is ready, and how it ended.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

_READY = b"database system is ready to accept connections"
_KEPT_OUTPUT = 64 * 1024


class Program(ProcessProtocol):
    """
    A child. *ready* fires with whether it came to say so; *status* is its exit status when it has ended.
    """

    def __init__(self, log: Path | None) -> None:
        self.ready: Deferred[bool] = Deferred()
        self._over: Deferred[None] = Deferred()
        self.status: int | None = None
        self._output = b""
        self._is_ready = False
        self._log = _open_log(log) if log is not None else None

    def ended(self) -> Deferred[None]:
        """Fires when it has; each caller's own, who may cancel it."""
        ended: Deferred[None] = Deferred()
        self._over.addCallback(lambda _: ended.callback(None))
        return ended

    def said(self, words: bytes) -> bool:
        return words in self._output

    def last_lines(self) -> str:
        """The last that it said, as one line."""
        lines = self._output.decode("utf-8", "replace").strip().splitlines()
        return " | ".join(re.sub(r"^.*?(?=[A-Z]+: )", "", line).strip() for line in lines[-4:]) or "it said nothing"

    def signal(self, name: str) -> None:
        # It may be dead while its children still hold its output open.
        if self.transport is not None and self.status is None:
            with contextlib.suppress(ProcessExitedAlready):
                self.transport.signalProcess(name)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if self._log is not None:
            os.write(self._log, data)
        self._output = (self._output + data)[-_KEPT_OUTPUT:]
        if not self._is_ready and _READY in self._output:
            self._is_ready = True
            self.ready.callback(True)

    def processEnded(self, reason: Failure) -> None:
        ended = reason.value
        self.status = ended.exitCode if isinstance(ended, (ProcessDone, ProcessTerminated)) else -1
        if self._log is not None:
            os.close(self._log)
        if not self._is_ready:
            self._is_ready = True
            self.ready.callback(False)
        self._over.callback(None)


def _open_log(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

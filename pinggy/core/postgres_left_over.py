"""
The server that one of us, killed before it could stop it, has left behind on its cluster.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_log = Logger()


async def stop_left_over(reactor: Any, cluster: Path, patience: float) -> None:
    """Returns when no such server runs on *cluster* any more; after *patience* seconds it is told to quit at once."""
    pid = _left_over(cluster)
    if pid is None:
        return
    _log.warn("stopping the PostgreSQL that was left behind, process {pid}", pid=pid)
    descriptor = os.pidfd_open(pid)
    over = _Readable(reactor, descriptor)
    bound = reactor.callLater(patience, signal.pidfd_send_signal, descriptor, signal.SIGQUIT)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGINT)
        await over.fired
    finally:
        if bound.active():
            bound.cancel()
        reactor.removeReader(over)
        os.close(descriptor)


def _left_over(cluster: Path) -> int | None:
    """The process of ``postmaster.pid``, if it is a server that stands in this cluster and not another's by now."""
    try:
        first = (cluster / "postmaster.pid").read_text("ascii", "replace").partition("\n")[0]
        pid = int(first)
        stands_in = os.stat(f"/proc/{pid}/cwd")
        program = os.readlink(f"/proc/{pid}/exe")
    except (OSError, ValueError):
        return None
    same = os.path.samestat(stands_in, cluster.stat())
    return pid if same and Path(program.removesuffix(" (deleted)")).name == "postgres" else None


@implementer(IReadDescriptor)
class _Readable:
    """*fired* once, when the descriptor can be read: for a pidfd, when its process is gone."""

    def __init__(self, reactor: IReactorFDSet, descriptor: int) -> None:
        self.fired: Deferred[None] = Deferred()
        self._reactor = reactor
        self._descriptor = descriptor
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> None:
        self._reactor.removeReader(self)
        self.fired.callback(None)

    def connectionLost(self, reason: Failure) -> None:
        pass

    def logPrefix(self) -> str:
        return "left-over"

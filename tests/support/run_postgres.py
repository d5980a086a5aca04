"""
A PostgreSQL of its own as a process: ``python -m tests.support.run_postgres FOLDER [PORT]`` prints its URL, SIGTERM
stops it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pinggy.core.managed_postgres import ManagedPostgres


async def run(folder: Path, port: int = 0) -> None:
    postgres = ManagedPostgres(reactor, folder, port=port)
    url = await postgres.start()
    reactor.addSystemEventTrigger("before", "shutdown", postgres.stop)
    sys.stdout.write(url.reveal() + "\n")
    sys.stdout.flush()


def failed(failure: Failure) -> None:
    sys.stderr.write(failure.getErrorMessage() + "\n")
    reactor.stop()


if __name__ == "__main__":
    Deferred.fromCoroutine(run(Path(sys.argv[1]), *map(int, sys.argv[2:]))).addErrback(failed)
    reactor.run()

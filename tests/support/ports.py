"""
Ports of 127.0.0.1 that are this process's own: several runs of the tests may go on beside each other.

A free port is taken some time after it was picked, so those picked at random meet now and then. Here each process has a
block of them, claimed by the name of a socket, which the kernel gives back when the process is gone.
"""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Iterator

# Below those that the kernel gives to whoever connects somewhere.
_FIRST = 10000
_FIRST_OF_TUNNELS = 20000
_SIZE = 200
_BLOCKS = 50


class Ports:
    """The block is claimed where it is first needed."""

    def __init__(self) -> None:
        self._claim: socket.socket | None = None
        self._block = 0
        self._next: Iterator[int] = iter(())

    def free(self) -> int:
        """One that is free for TCP and UDP, and was not given for as long as possible."""
        self._ensure()
        for port in itertools.islice(self._next, _SIZE):
            with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                try:
                    stream.bind(("127.0.0.1", port))
                    datagrams.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
        raise AssertionError(f"No port from {_FIRST + self._block * _SIZE} on is free.")

    def of_tunnels(self) -> range:
        """Those that a service may give to its clients."""
        self._ensure()
        first = _FIRST_OF_TUNNELS + self._block * _SIZE
        return range(first, first + _SIZE)

    def _ensure(self) -> None:
        if self._claim is not None:
            return
        for block in random.sample(range(_BLOCKS), _BLOCKS):
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0pinggy-tests-ports-{block}")
            except OSError:
                claim.close()
                continue
            self._claim, self._block = claim, block
            first = _FIRST + block * _SIZE
            self._next = itertools.cycle(range(first, first + _SIZE))
            return
        raise AssertionError("All ports are claimed by other runs of the tests.")

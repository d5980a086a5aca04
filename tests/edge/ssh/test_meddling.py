"""
Somebody between client and edge changes, drops, repeats and adds bytes: by a seed, at any time of a connection's life.
That connection ends, and nothing else does; nothing grows, and nothing is logged as a failure.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from pinggy.edge.ssh.packets.suites import LONGEST
from pinggy.edge.ssh.transport import Transport
from tests.support.edges import EdgeInMemory

SEEDS = range(120)


def flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + data[start + chance.randint(1, 40) :]


def repeated(data: bytes, chance: random.Random) -> bytes:
    return data + data[chance.randrange(len(data)) :]


def stuffed(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(chance.randint(1, 2000)) + data[at:]


def longer(data: bytes, chance: random.Random) -> bytes:
    """Where a packet begins, a length at a bound."""
    length = chance.choice([0, 1, 5, 12, 16, LONGEST - 16, LONGEST, LONGEST + 16, 2**31, 2**32 - 1])
    return length.to_bytes(4, "big") + data[4:]


MEDDLERS: list[Callable[[bytes, random.Random], bytes]] = [flipped, cut, repeated, stuffed, longer]


class Meddler:
    """Changes the *nth* read of one connection at the edge. *largest* is the most that was kept unread."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._nth = self._chance.randint(1, 14)
        self._meddle = self._chance.choice(MEDDLERS)
        self.largest = 0

    def prepare(self, server: Transport) -> None:
        read = server.dataReceived

        def meddled(data: bytes) -> None:
            self._nth -= 1
            if self._nth == 0:
                data = self._meddle(data, self._chance)
                # In whatever pieces they come.
                middle = self._chance.randrange(len(data) + 1)
                read(data[:middle])
                data = data[middle:]
            read(data)
            self.largest = max(self.largest, server.unread)

        server.dataReceived = meddled  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_connection_that_is_meddled_with_ends_alone(edge: EdgeInMemory, seed: int) -> None:
    other = edge.join("neighbour")
    other.forward()
    other.session()
    meddler = Meddler(seed)
    pair = edge.join(edge.core.account("alice", names=("blog",)).reveal(), prepare=meddler.prepare)
    if pair.logged_in and not pair.is_over:
        pair.forward().addErrback(lambda _: None)
        pair.session()
    for size in (1, 1000, 40_000):
        if not pair.is_over:
            pair.client.sendIgnore(bytes(size))
            pair.flush()
    assert meddler.largest <= LONGEST + 65536
    # Whatever became of it, its neighbour is served, and a client that comes later too.
    assert not other.is_over
    assert len(list(edge.tunnels)) >= 1
    assert edge.join("later").logged_in
    pair.advance(40)

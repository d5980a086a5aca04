"""
One case, from its seed to its verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.fuzz.edge import EdgeInMemory
from tests.fuzz.mutations import split
from tests.fuzz.oracle import Oracle, Wrong
from tests.fuzz.requests import connection


def run(seed: int) -> None:
    """Raises `Wrong`, with the seed and what the visitor sent."""
    chance = Random(seed)
    judge(split(connection(chance), chance), chance, f"seed {seed}")


def judge(pieces: Sequence[bytes], chance: Random, name: str) -> None:
    """What comes of a visitor who sends *pieces*, whatever is drawn for the rest."""
    edge = EdgeInMemory(pieces, chance)
    try:
        Oracle(edge.run()).check()
    except Exception as wrong:
        record = edge.record
        local = [(server.said, bytes(server.stream.written)) for server in record.servers]
        raise Wrong(f"{name}: {wrong}\nsent: {record.sent!r}\nheard: {record.heard!r}\nlocal: {local!r}") from wrong

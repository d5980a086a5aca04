"""
One case, from its seed to its verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.fuzz.edge import EdgeInMemory
from tests.fuzz.mutations import split
from tests.fuzz.oracle import Oracle, Wrong, check_shares
from tests.fuzz.requests import connection


def run(seed: int) -> None:
    """Raises `Wrong`, with the seed and what the visitors sent."""
    chance = Random(seed)
    visitors = chance.choice((1, 1, 1, 2, 3))
    judge([split(connection(chance), chance) for _ in range(visitors)], chance, f"seed {seed}")


def run_by_another(seed: int) -> None:
    """The same for one visitor, one of whose tunnels is at another edge."""
    chance = Random(seed)
    judge([split(connection(chance), chance)], chance, f"by another edge, seed {seed}", has_other=True)


def judge(connections: Sequence[Sequence[bytes]], chance: Random, name: str, *, has_other: bool = False) -> None:
    """What comes of visitors who send this, in these pieces, whatever is drawn for the rest."""
    edge = EdgeInMemory(connections, chance, has_other=has_other)
    try:
        edge.run()
        for record in edge.records:
            Oracle(record).check()
        check_shares(edge.servers)
    except Exception as wrong:
        told = [f"{each.address} sent {each.sent!r}\n  and heard {each.heard!r}" for each in edge.records]
        told += [
            f"a local server said {each.said!r}\n  and heard {bytes(each.stream.written)!r}" for each in edge.servers
        ]
        raise Wrong("\n".join((f"{name}: {wrong}", *told))) from wrong

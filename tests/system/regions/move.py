"""
One tunnel moves from region to region while visitors come at a steady rate: does any of them notice?

    python -m tests.system.regions.move --moves 20

The names have a TTL of 60 seconds, so that resolvers go on leading visitors to where the tunnel was.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from tests.system.regions import namespaces
from tests.system.regions.files import Timing
from tests.system.regions.histories import Visit, read_visits
from tests.system.regions.population import EDGES
from tests.system.regions.stage import quantile, stage

TTL = 60
RATE = 50.0
ACCOUNT, NAME = "owner0", "web0"
# Seconds of visits before the first move, between two, and after the last.
_BETWEEN = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """*took* is for each move the seconds from the start of ssh to its URLs."""

    took: tuple[float, ...]
    visits: tuple[Visit, ...]

    @property
    def failed(self) -> list[Visit]:
        return [visit for visit in self.visits if visit.is_failure]

    def lines(self) -> list[str]:
        elsewhere = Counter(visit.edge for visit in self.visits)
        return [
            f"{len(self.took)} moves, new URL after p50 {quantile(self.took, 0.5) * 1000:.0f} ms,"
            f" p99 {quantile(self.took, 0.99) * 1000:.0f} ms",
            f"{len(self.visits)} requests, {len(self.failed)} failed; by edge: {dict(elsewhere)}",
            *(
                f"  failed: {each.kind} through {each.resolver} at {each.edge}: {each.outcome}, began {each.at:.3f},"
                f" took {each.took:.3f}"
                for each in self.failed[:20]
            ),
        ]


async def move(folder: Path, moves: int, *, cables: bool, between: float = _BETWEEN) -> Moved:
    async with stage(folder, cables=cables, members=1, timing=Timing(lease=30.0, ttl=TTL)) as scene:
        visitors = scene.world.start_visitors(rate=RATE, seed=1, only=NAME)
        await asyncio.sleep(between)
        took = []
        # It begins in the first region.
        for edge in islice(cycle(EDGES), 1, moves + 1):
            took.append(await scene.move(ACCOUNT, edge))
            await asyncio.sleep(between)
        visitors.finish()
        return Moved(took=tuple(took), visits=tuple(read_visits(scene.world.visits)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where logs and histories go; kept")
    arguments = parser.parse_args()
    way = None if namespaces.is_inside() else namespaces.way_in()
    if way is not None:
        return namespaces.run_inside(way, "tests.system.regions.move", sys.argv[1:])
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="pinggy-regions-"))
    folder.mkdir(parents=True, exist_ok=True)
    moved = asyncio.run(move(folder, arguments.moves, cables=namespaces.is_inside()))
    sys.stdout.write("".join(f"{line}\n" for line in moved.lines()))
    if arguments.folder is None:
        shutil.rmtree(folder)
    return 1 if moved.failed else 0


if __name__ == "__main__":
    sys.exit(main())

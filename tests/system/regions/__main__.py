"""
``python -m tests.system.regions --seed N --minutes M``: break things by the seed, and prove what must hold.

The exit status is 0 where it holds. The folder with every log and history is kept where it does not.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import shutil
import sys
import tempfile
from pathlib import Path

from tests.system.regions import driver, namespaces

# Seconds of one round, and of the start and the end.
_ROUND = 50.0
_AROUND = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=30.0, help="requests a second")
    parser.add_argument("--folder", type=Path, help="where logs and histories go; kept")
    parser.add_argument("--loopback", action="store_true", help="without network namespaces: no link is cut")
    arguments = parser.parse_args()
    way = None if arguments.loopback or namespaces.is_inside() else namespaces.way_in()
    if way is not None:
        return namespaces.run_inside(way, "tests.system.regions", sys.argv[1:])
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="pinggy-regions-"))
    folder.mkdir(parents=True, exist_ok=True)
    rounds = max(1, math.floor((arguments.minutes * 60 - _AROUND) / _ROUND))
    plan = driver.Plan(seed=arguments.seed, rounds=rounds, rate=arguments.rate)
    report = asyncio.run(driver.run(folder, plan, cables=namespaces.is_inside()))
    sys.stdout.write("".join(f"{line}\n" for line in report.lines()))
    if report.is_good and arguments.folder is None:
        shutil.rmtree(folder)
    else:
        sys.stdout.write(f"logs and histories are in {folder}\n")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())

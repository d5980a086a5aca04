"""
``python -m tests.fuzz --minutes M``: cases from a seed on, for so long. ``--seed N`` without minutes: that one again.
Each seed is a case of HTTP/1.1, one by another edge, one of HTTP/2 on each side of the edge,
and one of its frames in any order.

The exit status is 0 where all holds. Each case that does not is printed with its seed, up to ten.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from tests.fuzz.cases import run, run_by_another
from tests.fuzz.h2_edge import run_h2
from tests.fuzz.h2_local import run_local
from tests.fuzz.h2_order import run_order
from tests.fuzz.oracle import Wrong

_MOST_FOUND = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="of the first case; drawn where it is left out")
    parser.add_argument("--minutes", type=float, default=0.0)
    arguments = parser.parse_args()
    first = secrets.randbelow(2**40) if arguments.seed is None else arguments.seed
    until = time.monotonic() + 60 * arguments.minutes
    seed, found = first, 0
    while True:
        for case in (run, run_by_another, run_h2, run_local, run_order):
            try:
                case(seed)
            except Wrong as wrong:
                found += 1
                sys.stdout.write(f"{wrong}\n\n")
        seed += 1
        if found >= _MOST_FOUND or time.monotonic() >= until:
            break
    sys.stdout.write(f"{seed - first} seeds from {first} on: {found} wrong\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""A tunnel moves through the regions under steady visitors, whose resolvers go on leading them to where it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.system.regions.processes import HERE

MOVES = 3
# Seconds: what starting may take on a slow machine, beside the moves themselves.
BOUND = 240


def test_no_visitor_is_lost_while_a_tunnel_moves(tmp_path: Path) -> None:
    # In a process of its own, which has namespaces of its own: they end with it.
    words = ["tests.system.regions.move", "--moves", str(MOVES), "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=HERE, text=True, capture_output=True, timeout=BOUND, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{MOVES} moves" in done.stdout

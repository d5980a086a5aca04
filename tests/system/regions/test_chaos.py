"""Two minutes of everything that can break, by a seed of its own: ``make chaos`` runs others, for hours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.regions.processes import HERE

SEED = 4
MINUTES = 2.0
# Seconds: what starting and settling may take on a slow machine, beside the minutes themselves.
BOUND = 400


def test_what_must_hold_holds_while_everything_breaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # In a process of its own, which has namespaces of its own: they end with it.
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.system.regions", "--seed", str(SEED), "--minutes", str(MINUTES)),
            *("--folder", str(tmp_path)),
        ],
        cwd=HERE,
        text=True,
        capture_output=True,
        timeout=BOUND,
        check=False,
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{done.stdout}")
    assert done.returncode == 0, done.stdout + done.stderr

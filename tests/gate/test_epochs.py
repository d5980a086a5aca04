"""
Whatever comes late, twice, out of order, with restarts in between: no older owner ever wins.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinggy.dns.fence import Fence
from pinggy.dns.powerdns.changes import Change
from pinggy.gate.epochs import FILE, Epochs, EpochsUnusable, Verdict

NAME = "blog.a.example"
RESTART = "restart"

changes = st.builds(
    lambda epoch, kind: Change(name=NAME, epoch=epoch, withdrawn=kind > 0, any_lower=kind == 2),
    epoch=st.integers(min_value=0, max_value=6),
    kind=st.integers(min_value=0, max_value=2),
)


def admit(epochs: Epochs, *asked: Change, now: float = 0.0) -> list[Verdict]:
    return epochs.admit(asked, now)


def place(epoch: int, name: str = NAME) -> Change:
    return Change(name=name, epoch=epoch)


def take(epoch: int, name: str = NAME, *, any_lower: bool = False) -> Change:
    return Change(name=name, epoch=epoch, withdrawn=True, any_lower=any_lower)


@given(st.lists(changes | st.just(RESTART), max_size=30))
def test_it_decides_as_the_fence_in_memory_does_also_across_restarts(moves: list[Change | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        epochs, fence = Epochs(Path(folder)), Fence()
        for move in moves:
            if isinstance(move, str):
                epochs.close()
                epochs = Epochs(Path(folder))
                continue
            nothing_stands = fence.standing(NAME) is None
            if move.withdrawn:
                mine = fence.release(NAME, move.epoch, any_lower=move.any_lower) or nothing_stands
                expected = Verdict.WRITTEN if mine else Verdict.DONE
            else:
                expected = Verdict.WRITTEN if fence.admit(NAME, move.epoch) else Verdict.STALE
            assert admit(epochs, move) == [expected]
        epochs.close()


@given(st.lists(changes | st.just(RESTART), max_size=30))
def test_what_stands_is_never_of_an_owner_older_than_any_before(moves: list[Change | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        epochs = Epochs(Path(folder))
        stands: int | None = None
        highest = left = -1
        for move in moves:
            if isinstance(move, str):
                epochs.close()
                epochs = Epochs(Path(folder))
                continue
            (verdict,) = admit(epochs, move)
            if verdict is not Verdict.WRITTEN:
                continue
            if move.withdrawn:
                assert stands is None or stands <= move.epoch
                stands, left = None, max(left, move.epoch)
            else:
                stands = move.epoch
                assert stands >= highest
                assert stands > left
                highest = stands
        epochs.close()


def test_a_kill_forgets_nothing(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys\n"
        "from pinggy.gate.epochs import Epochs\n"
        "from pinggy.dns.powerdns.changes import Change\n"
        "epochs = Epochs(pathlib.Path(sys.argv[1]))\n"
        "for number in range(1, 301):\n"
        f"    epochs.admit([Change(name={NAME!r}, epoch=number), Change(name=f'n{{number}}', epoch=9)], 0.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -9
    epochs = Epochs(tmp_path)
    assert admit(epochs, place(299), place(300)) == [Verdict.STALE, Verdict.WRITTEN]
    assert admit(epochs, place(8, "n300"), place(9, "n300")) == [Verdict.STALE, Verdict.WRITTEN]
    epochs.close()


def test_what_was_not_written_may_be_said_again(tmp_path: Path) -> None:
    epochs = Epochs(tmp_path)
    assert admit(epochs, place(4), place(4)) == [Verdict.WRITTEN] * 2
    assert admit(epochs, take(4), take(4)) == [Verdict.WRITTEN] * 2
    assert admit(epochs, place(4)) == [Verdict.STALE]
    epochs.close()


def test_only_what_was_withdrawn_long_ago_is_forgotten(tmp_path: Path) -> None:
    epochs = Epochs(tmp_path)
    admit(epochs, place(5, "stands"), place(5, "old"), place(5, "older"), place(5, "young"), now=1.0)
    admit(epochs, take(5, "older"), now=10.0)
    admit(epochs, take(5, "old"), now=20.0)
    admit(epochs, take(5, "young"), now=100.0)
    assert epochs.prune(50.0, 1) == 1
    assert admit(epochs, place(4, "old")) == [Verdict.STALE]
    assert epochs.prune(50.0, 100) == 1
    assert epochs.prune(50.0, 100) == 0
    again = [place(4, name) for name in ("stands", "old", "older", "young")]
    assert admit(epochs, *again) == [Verdict.STALE, Verdict.WRITTEN, Verdict.WRITTEN, Verdict.STALE]
    epochs.close()


def test_a_second_gate_on_the_same_state_is_refused(tmp_path: Path) -> None:
    epochs = Epochs(tmp_path)
    with pytest.raises(EpochsUnusable, match=r"epochs\.sqlite is of no use: database is locked"):
        Epochs(tmp_path)
    assert admit(epochs, place(1)) == [Verdict.WRITTEN]
    epochs.close()


def test_files_of_no_use_are_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"garbage" * 1000)
    with pytest.raises(EpochsUnusable, match="file is not a database"):
        Epochs(tmp_path)
    (tmp_path / FILE).unlink()
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(EpochsUnusable, match="newer gate"):
        Epochs(tmp_path)
    with pytest.raises(EpochsUnusable, match="unable to open"):
        Epochs(tmp_path / "missing")


def test_a_transaction_that_fails_changes_nothing(tmp_path: Path) -> None:
    epochs = Epochs(tmp_path)
    with pytest.raises((EpochsUnusable, OverflowError)):
        admit(epochs, place(3), place(2**64, "other"))
    assert admit(epochs, place(2)) == [Verdict.WRITTEN]
    epochs.close()

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pinggy.cli.main import main
from tests.cli.fake_core import KEY, FakeCore, running_core
from tests.support.postgres import database, postgres

__all__ = ["database", "postgres"]


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    out: str
    err: str


Pinggy = Callable[..., Outcome]


@pytest.fixture
def core() -> Iterator[FakeCore]:
    with running_core() as core:
        yield core


@pytest.fixture
def state(core: FakeCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder that a running service leaves, in the working folder; no settings elsewhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("PINGGY_STATE", "PINGGY_CORE", "PINGGY_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    state = tmp_path / "var"
    state.mkdir()
    (state / "core.url").write_text(core.url + "\n")
    (state / "operator.key").write_text(KEY + "\n")
    return state


@pytest.fixture
def pinggy(state: Path, capsys: pytest.CaptureFixture[str]) -> Pinggy:
    def run(*words: str) -> Outcome:
        try:
            status = main(words)
        except SystemExit as left:
            status = int(left.code or 0)
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run

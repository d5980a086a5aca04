"""
``twistd pinggy-core``: it runs, ends well when it is asked to, and says in one line why it cannot run.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest_twisted
import treq

from pinggy.settings import Secret
from tests.support.postgres import Databases

asynchronous = pytest_twisted.ensureDeferred
TWISTD = [str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile=", "pinggy-core"]
PATIENCE = 60.0


def settings(folder: Path, url: str = "postgresql:///none", more: str = "", port: int = 0) -> Path:
    file = folder / "core.toml"
    file.write_text(
        f'[core]\ndomain = "a.example"\noperator_key = "0123456789abcdef"\n{more}\n'
        f'[core.database]\nurl = "{url}"\npatience = 0.2\n[core.listen]\nport = {port}\n'
    )
    return file


def refused(folder: Path, *words: str) -> str:
    """Start it; the one line that it ends with."""
    command = [*TWISTD[:1], "--logfile=core.log", *TWISTD[1:], *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("pinggy: ").rstrip("\n")


def test_without_settings_it_asks_for_them(tmp_path: Path) -> None:
    assert "--config FILE" in refused(tmp_path)


def test_bad_settings_are_named(tmp_path: Path) -> None:
    file = settings(tmp_path, more="lease = 0")
    assert refused(tmp_path, "--config", str(file)) == f"{file}: The setting core.lease is too small: 1 at the least."


def test_a_grant_key_of_no_use_is_named(tmp_path: Path) -> None:
    said = refused(tmp_path, "--config", str(settings(tmp_path, more=f'grant_key = "{tmp_path}"')))
    assert said.startswith("The setting core.grant_key names ")


def test_a_database_that_is_away_is_named(tmp_path: Path) -> None:
    file = settings(tmp_path, "postgresql://pinggy:hidden@127.0.0.1:1/none")
    said = refused(tmp_path, "--config", str(file))
    assert said.startswith("The setting core.database.url is of no use, at 127.0.0.1:1: ")
    assert "hidden" not in said


def test_a_port_in_use_is_named(tmp_path: Path, postgres: Databases) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(tmp_path, "--config", str(settings(tmp_path, postgres.emptied().reveal(), port=port)))
    assert said.startswith(f"The setting core.listen.port = {port} is of no use, on 127.0.0.1: ")


@contextmanager
def running(file: Path) -> Iterator[str]:
    """The URL of one that runs; at the end it is asked to stop, and must end well."""
    with subprocess.Popen(
        [*TWISTD, "--config", str(file)], cwd=file.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            line = next(line for line in process.stdout if "the core listens on " in line)
            yield line.partition("the core listens on ")[2].strip()
        finally:
            process.terminate()
            process.stdout.read()
        assert process.wait(PATIENCE) == 0


@asynchronous
async def test_it_runs_until_it_is_asked_to_stop(tmp_path: Path, database: Secret) -> None:
    with running(settings(tmp_path, database.reveal(), f'grant_key = "{tmp_path / "grant.key"}"')) as url:
        response = await treq.get(f"{url}/readyz", persistent=False)
        assert (response.code, await treq.json_content(response)) == (200, {"ok": True})
    assert (tmp_path / "grant.key").exists()

"""
A PostgreSQL of our own, really started: again, after a kill, below folders that its user may not enter.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from pinggy.core.managed_postgres import ManagedPostgres, ManagedPostgresError
from pinggy.core.postgres_binaries import Place, usual_places, wheel_places
from pinggy.settings import Secret
from tests.support.postgres import QUICK, execute

asynchronous = pytest_twisted.ensureDeferred


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Below one that only we may enter."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    return closed / "postgresql"


def managed(folder: Path) -> ManagedPostgres:
    return ManagedPostgres(reactor, folder, settings=QUICK)


def pid_of(folder: Path) -> int:
    return int((folder / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text()


@asynchronous
async def test_it_keeps_its_data_and_its_password_and_leaves_no_process(folder: Path) -> None:
    server = managed(folder)
    url = await server.start()
    execute(url, "CREATE TABLE kept AS SELECT 7 AS seven")
    pid = pid_of(folder)
    await server.stop()
    assert not runs(pid)
    await server.stop()
    again = await server.start()
    assert execute(again, "SELECT seven FROM kept") == [(7,)]
    assert execute(again, "SHOW server_encoding") == [("UTF8",)]
    await server.stop()
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
    assert (folder / "password").read_text().strip() not in (folder / "postgresql.log").read_text()


@asynchronous
async def test_a_wrong_password_is_refused(folder: Path) -> None:
    server = managed(folder)
    url = await server.start()
    password = (folder / "password").read_text().strip()
    with pytest.raises(Exception, match="password authentication failed"):
        execute(Secret(url.reveal().replace(password, "wrong")), "SELECT 1")
    await server.stop()


@asynchronous
async def test_one_folder_is_used_by_one_process(folder: Path) -> None:
    server = managed(folder)
    url = await server.start()
    with pytest.raises(ManagedPostgresError, match="in use by another process"):
        await managed(folder).start()
    assert execute(url, "SELECT 1") == [(1,)]
    await server.stop()


@asynchronous
async def test_a_server_that_was_left_behind_is_stopped_first(folder: Path) -> None:
    left = managed(folder)
    await left.start()
    pid = pid_of(folder)
    # As the kernel does it when our process is killed: the lock is gone, the server is not.
    left._leave_folder()
    gone = left.ended()
    left._stopping = True
    server = managed(folder)
    url = await server.start()
    await gone
    assert not runs(pid)
    assert execute(url, "SELECT 1") == [(1,)]
    await server.stop()


@asynchronous
async def test_a_stale_pid_file_is_no_obstacle_whoever_has_that_pid_now(folder: Path) -> None:
    server = managed(folder)
    await server.start()
    lines = (folder / "cluster" / "postmaster.pid").read_text()
    await server.stop()
    for pid in (os.getpid(), 1, 2**22 - 3, "nonsense"):
        (folder / "cluster" / "postmaster.pid").write_text(lines.replace(lines.split("\n")[0], str(pid), 1))
        await server.start()
        await server.stop()


@asynchronous
async def test_a_first_start_that_was_killed_leaves_nothing_half_made(folder: Path) -> None:
    (folder / "cluster.making").mkdir(parents=True)
    (folder / "cluster.making" / "PG_VERSION").write_text("15\n")
    server = managed(folder)
    await server.start()
    await server.stop()


@asynchronous
async def test_an_end_by_itself_is_told(folder: Path, nothing_is_lost: list[str]) -> None:
    server = managed(folder)
    await server.start()
    os.kill(pid_of(folder), signal.SIGQUIT)
    await server.ended()
    assert "has ended by itself" in nothing_is_lost[0]
    nothing_is_lost.clear()
    await server.stop()


@asynchronous
async def test_programs_of_another_version_are_not_used(folder: Path) -> None:
    (folder / "cluster").mkdir(parents=True)
    (folder / "cluster" / "PG_VERSION").write_text("9\n")
    with pytest.raises(ManagedPostgresError, match=r"PostgreSQL 9, which made the database.*found were only 1"):
        await managed(folder).start()


@asynchronous
async def test_a_cluster_without_its_password_is_not_started(folder: Path) -> None:
    server = managed(folder)
    await server.start()
    await server.stop()
    (folder / "password").unlink()
    with pytest.raises(ManagedPostgresError, match="password is missing"):
        await server.start()


@asynchronous
async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ManagedPostgresError, match="file"):
        await managed(tmp_path / "file" / "postgresql").start()


@pytest.fixture
def hidden_wheel(tmp_path: Path) -> Iterator[Place]:
    """The wheel's programs in a virtual environment below a folder that only we may enter; copies go to /var/tmp."""
    (wheel,) = wheel_places()
    assert wheel.package is not None
    closed = tmp_path / "venv"
    closed.mkdir(mode=0o700)
    package = closed / wheel.package.name
    shutil.copytree(wheel.package, package, symlinks=True)
    libraries = wheel.package.with_name(f"{wheel.package.name}.libs")
    shutil.copytree(libraries, closed / libraries.name, symlinks=True)
    copies = Path(tempfile.mkdtemp(dir="/var/tmp"))
    copies.chmod(0o755)
    yield Place(bin=package / "pginstall" / "bin", package=package, copies=copies)
    shutil.rmtree(closed)
    shutil.rmtree(copies)


@asynchronous
async def test_the_wheels_programs_are_used_also_where_their_user_may_not_enter(
    folder: Path, hidden_wheel: Place
) -> None:
    closed = hidden_wheel.bin.parents[2]
    for _ in range(2):
        server = ManagedPostgres(reactor, folder, settings=QUICK, places=lambda: [hidden_wheel])
        url = await server.start()
        assert execute(url, "SELECT current_setting('server_version_num')::int >= 180000") == [(True,)]
        await server.stop()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    # A copy is needed by root alone, whose server runs as somebody else; it is complete, and one.
    copies = list(hidden_wheel.copies.iterdir())
    assert len(copies) == (1 if os.geteuid() == 0 else 0)


def test_a_place_has_both_programs_side_by_side() -> None:
    for place in usual_places():
        if (place.bin / "initdb").exists():
            assert (place.bin / "postgres").exists()

"""
A PostgreSQL with a standby that streams from it: what is committed is at both before anybody hears of it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

from pinggy.core.postgres_binaries import RunAs, find_binaries, usual_places
from pinggy.settings import Secret
from tests.support.service import PATIENCE, free_port

_ROLE, _DATABASE = "pinggy", "postgres"
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "unix_socket_directories": "", "max_connections": "50"}


class Server:
    """One, in a folder of its own."""

    def __init__(self, bin_folder: Path, folder: Path, run_as: RunAs | None, settings: dict[str, str]) -> None:
        self.port = free_port()
        self._bin = bin_folder
        self._folder = folder
        self._run_as = run_as
        self._settings = {**_SETTINGS, **settings, "port": str(self.port), "listen_addresses": "127.0.0.1"}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> Secret:
        return Secret(f"postgresql://{_ROLE}@127.0.0.1:{self.port}/{_DATABASE}")

    def make(self) -> None:
        self._run("initdb", f"--pgdata={self._folder}", "--auth=trust", f"--username={_ROLE}", "--no-sync")

    def copy(self, primary: Server) -> None:
        """Become the standby of *primary*."""
        words = ("--checkpoint=fast", "--no-sync", "--write-recovery-conf", "--wal-method=stream")
        self._run("pg_basebackup", f"--pgdata={self._folder}", *words, f"--dbname={primary.url.reveal()}")

    def start(self) -> None:
        """Returns when it answers."""
        words = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        # In a session of its own, so that all of its processes can be killed at one instant.
        self._process = subprocess.Popen(
            [str(self._bin / "postgres"), "-D", str(self._folder), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self._folder.parent / f"{self._folder.name}.log").open("wb"),
            start_new_session=True,
            **self._identity(),
        )
        bound = time.monotonic() + PATIENCE
        while True:
            try:
                self.ask("SELECT 1")
                return
            except psycopg2.OperationalError as error:
                assert time.monotonic() < bound, error
                time.sleep(0.02)

    def kill(self) -> None:
        """With everything that belongs to it, as when its machine loses power."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)

    def promote(self) -> None:
        """It is the primary from soon on."""
        self.ask("SELECT pg_promote(false)")

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self.url.reveal())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *words], capture_output=True, text=True, check=False, **self._identity()
        )
        assert done.returncode == 0, done.stderr

    def _identity(self) -> dict[str, Any]:
        environment: dict[str, Any] = {"env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}, "cwd": "/"}
        if self._run_as is None:
            return environment
        return {**environment, "user": self._run_as.uid, "group": self._run_as.gid, "extra_groups": ()}


class PostgresPair:
    """
    *url* names both servers: the core finds the one that is the primary. Kill that, and promote the *standby*.
    """

    def __init__(self) -> None:
        run_as = _run_as()
        binaries = find_binaries(None, run_as, usual_places())
        self._folder = Path(tempfile.mkdtemp(prefix="pinggy-pair-"))
        if run_as is not None:
            os.chown(self._folder, run_as.uid, run_as.gid)
        synchronous = {"synchronous_standby_names": "*"}
        self.primary = Server(binaries.bin, self._folder / "one", run_as, synchronous)
        self.standby = Server(binaries.bin, self._folder / "two", run_as, {})

    @property
    def url(self) -> Secret:
        ports = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return Secret(f"postgresql://{_ROLE}@{ports}/{_DATABASE}")

    def start(self) -> None:
        """Returns when the standby follows."""
        self.primary.make()
        self.primary.start()
        self.standby.copy(self.primary)
        self.standby.start()
        bound = time.monotonic() + PATIENCE
        while self.primary.ask("SELECT sync_state FROM pg_stat_replication") != [("sync",)]:
            assert time.monotonic() < bound
            time.sleep(0.02)

    def stop(self) -> None:
        self.standby.stop()
        self.primary.stop()
        shutil.rmtree(self._folder)


def _run_as() -> RunAs | None:
    """PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return RunAs(uid=entry.pw_uid, gid=entry.pw_gid)

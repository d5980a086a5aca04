"""
A PostgreSQL of our own, below the state folder: made at the first start, started as a child, stopped with us.

    FOLDER/cluster           the cluster, of the user who runs it
    FOLDER/password          of its only role; mode 0600
    FOLDER/postgresql.log    what it said since the last start
    FOLDER/lock              held while one of us uses the folder

PostgreSQL refuses root, so for root another user runs it, who perhaps may not enter the folders above. Therefore the
child gets the cluster as an open descriptor and is told ``/proc/self/fd/N``: a way that asks no folder on it.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shutil
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from pinggy.core.postgres_binaries import Binaries, NoPostgres, Place, RunAs, find_binaries, usual_places
from pinggy.core.postgres_left_over import stop_left_over
from pinggy.core.postgres_program import Program
from pinggy.settings import Secret

_ROLE = "pinggy"
_DATABASE = "postgres"
# The cluster's descriptor in the child.
_FD = 9
_PORT_TAKEN = b"Address already in use"
_STARTS = 5
_STOP_SECONDS = 20.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "50",
    "shared_buffers": "32MB",
    "log_checkpoints": "off",
    # Statements hold what nobody should read in a log.
    "log_min_error_statement": "panic",
    "logging_collector": "off",
    "log_destination": "stderr",
}


class ManagedPostgresError(Exception):
    """It cannot be started; the text is one line for the operator."""


class ManagedPostgres:
    """
    *folder* is below the state folder and ours alone. *port* 0 is any free one, another at each start. *settings*
    are further ones of PostgreSQL, by name. *places* are where its programs may be.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        *,
        port: int = 0,
        settings: Mapping[str, str] | None = None,
        places: Callable[[], Iterable[Place]] = usual_places,
    ) -> None:
        self._reactor = reactor
        self._folder = folder
        self._cluster = folder / "cluster"
        self._port = port
        self._places = places
        self._settings = {**_SETTINGS, **(settings or {})}
        self._lock: int | None = None
        self._server: Program | None = None
        self._starting: Program | None = None
        self._stopping = False
        self._ended: Deferred[None] = Deferred()

    def start(self) -> Deferred[Secret]:
        """Fires with the URL of the running database, for libpq. Fails with `ManagedPostgresError`."""
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> Deferred[None]:
        """
        Fires when the server has written everything and ended. Harmless when it does not run.

        Whoever cancels `start` stops it too: what was being started ends then.
        """
        return Deferred.fromCoroutine(self._stop())

    def ended(self) -> Deferred[None]:
        """Fires when the server has ended; after `stop`, or because something ended it."""
        ended: Deferred[None] = Deferred()
        self._ended.addCallback(ended.callback)
        return ended

    # -- start ------------------------------------------------------------------------------------------------

    async def _start(self) -> Secret:
        try:
            self._take_folder()
            run_as = self._run_as()
            await stop_left_over(self._reactor, self._cluster, _STOP_SECONDS)
            version = self._version()
            binaries = await deferToThreadPool(
                self._reactor, self._reactor.getThreadPool(), find_binaries, version, run_as, self._places()
            )
            if version is None:
                await self._make_cluster(binaries, run_as)
            password = self._password()
            port = await self._serve(binaries, run_as)
        except (OSError, NoPostgres) as error:
            self._leave_folder()
            raise ManagedPostgresError(str(error)) from error
        except BaseException:
            self._leave_folder()
            raise
        return Secret(f"postgresql://{_ROLE}:{password.reveal()}@127.0.0.1:{port}/{_DATABASE}")

    def _take_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise ManagedPostgresError(f"The folder {self._folder} is in use by another process.") from None
        self._lock = lock

    def _leave_folder(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _run_as(self) -> RunAs | None:
        """Who runs it: ourselves, or for root the cluster's owner, and at first ``postgres`` or ``nobody``."""
        if os.geteuid() != 0:
            return None
        if self._cluster.is_dir():
            status = self._cluster.stat()
            return RunAs(uid=status.st_uid, gid=status.st_gid)
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return RunAs(uid=entry.pw_uid, gid=entry.pw_gid)
        raise ManagedPostgresError(
            "PostgreSQL does not run as root, and there is neither a user 'postgres' nor 'nobody'."
        )

    def _version(self) -> int | None:
        """The major version of the cluster; None where there is none yet."""
        try:
            return int((self._cluster / "PG_VERSION").read_text("ascii").partition(".")[0])
        except FileNotFoundError:
            return None
        except ValueError:
            raise ManagedPostgresError(f"{self._cluster / 'PG_VERSION'} does not say a version.") from None

    def _password(self) -> Secret:
        try:
            return Secret((self._folder / "password").read_text("ascii").strip())
        except FileNotFoundError:
            raise ManagedPostgresError(f"{self._folder / 'password'} is missing: {self._cluster} needs it.") from None

    async def _make_cluster(self, binaries: Binaries, run_as: RunAs | None) -> None:
        """Beside its place, and moved there when it is complete: a start that is killed leaves nothing half made."""
        making = self._folder / "cluster.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        if run_as is not None:
            os.chown(making, run_as.uid, run_as.gid)
        password = Secret(secrets.token_urlsafe(24))
        _write_private(self._folder / "password", password.reveal() + "\n")
        arguments = (
            "--encoding=UTF8",
            "--locale=C",
            "--auth=scram-sha-256",
            f"--username={_ROLE}",
            "--pwfile=/dev/stdin",
            f"--pgdata=/proc/self/fd/{_FD}",
        )
        program = self._spawn(binaries.bin / "initdb", arguments, making, run_as, given=password)
        await program.ended()
        if program.status != 0:
            raise ManagedPostgresError(f"initdb failed: {program.last_lines()}")
        making.rename(self._cluster)
        self._log.info("made a PostgreSQL {version} cluster in {folder}", version=binaries.version, folder=self._folder)

    async def _serve(self, binaries: Binaries, run_as: RunAs | None) -> int:
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        for _ in range(_STARTS):
            port = self._port or _free_port()
            settings = {**self._settings, "port": str(port)}
            arguments = ["-D", f"/proc/self/fd/{_FD}"]
            for name, value in settings.items():
                arguments += ["-c", f"{name}={value}"]
            program = self._spawn(
                binaries.bin / "postgres", tuple(arguments), self._cluster, run_as, log=self._folder / "postgresql.log"
            )
            if await program.ready:
                self._server, self._starting = program, None
                self._stopping = False
                self._ended = Deferred()
                program.ended().addCallback(self._over)
                return port
            await program.ended()
            if self._port or not program.said(_PORT_TAKEN):
                break
        raise ManagedPostgresError(f"PostgreSQL does not start: {program.last_lines()}")

    def _spawn(
        self,
        executable: Path,
        arguments: tuple[str, ...],
        cluster: Path,
        run_as: RunAs | None,
        *,
        given: Secret | None = None,
        log: Path | None = None,
    ) -> Program:
        program = Program(log)
        stdin, writer = os.pipe()
        descriptor = os.open(cluster, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if run_as is not None:
                # /dev/stdin is opened anew by initdb, so the pipe must be the user's own.
                os.fchown(stdin, run_as.uid, run_as.gid)
            os.write(writer, given.reveal().encode("ascii") + b"\n" if given else b"")
            command = [str(executable), *arguments]
            # In a session of its own: the Ctrl-C of the terminal is for us, who stop it in good order.
            setsid = shutil.which("setsid")
            if setsid:
                command.insert(0, setsid)
            self._reactor.spawnProcess(
                program,
                command[0],
                command,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                path="/",
                uid=run_as and run_as.uid,
                gid=run_as and run_as.gid,
                childFDs={0: stdin, 1: "r", 2: "r", _FD: descriptor},
            )
        finally:
            for each in (stdin, writer, descriptor):
                os.close(each)
        self._starting = program
        return program

    def _over(self, _: None) -> None:
        if not self._stopping:
            assert self._server is not None
            self._log.error("PostgreSQL has ended by itself: {why}", why=self._server.last_lines())
        self._server = None
        self._leave_folder()
        self._ended.callback(None)

    # -- stop -------------------------------------------------------------------------------------------------

    async def _stop(self) -> None:
        program = self._server or self._starting
        if program is None:
            return
        self._stopping = True
        ended = program.ended() if self._server is None else self.ended()
        program.signal("INT")
        bound = self._reactor.callLater(_STOP_SECONDS, program.signal, "QUIT")
        await ended
        if bound.active():
            bound.cancel()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    """Complete or not at all, and read by us alone."""
    making = path.with_name(f"{path.name}.making")
    making.unlink(missing_ok=True)
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    making.rename(path)

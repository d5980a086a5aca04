"""
What is compared, each as processes on loopback, and a tunnel through it with a stock ``ssh``.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.service import PATIENCE, Lines, Service, free_port

TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).parents[2]


class Server(Protocol):
    """
    *name* is shown; *port* is where ssh connects; *user* is its first word. One with a *terminal* says there where
    visitors come, others only in the reply to ``-R``.
    """

    name: str
    port: int
    user: str
    terminal: bool

    def start(self) -> None: ...

    def stop(self) -> None: ...

    @property
    def pid(self) -> int:
        """The process whose tree is the server."""
        ...


class _Process:
    """A server of one command."""

    user = "root"
    terminal = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(PATIENCE)


class Sshd(_Process):
    name = "sshd"

    def start(self) -> None:
        self.port = free_port()
        config = self.folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host_key\n"
            f"AuthorizedKeysFile {self.folder}/client_key.pub\nStrictModes no\nPermitRootLogin yes\n"
            "UsePAM no\nMaxStartups 1000\nMaxSessions 1000\nPidFile none\n"
        )
        os.makedirs("/run/sshd", exist_ok=True)
        self._process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        while "Server listening" not in self._process.stderr.readline():
            pass
        # What it says of each connection is read by nobody, and must not stop it.
        subprocess.Popen(["cat"], stdin=self._process.stderr, stdout=subprocess.DEVNULL)


class _Module(_Process):
    module = ""

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())


class Conch(_Module):
    name = "Conch as it comes"
    module = "benchmarks.leg.conch_server"


class Asyncssh(_Module):
    name = "asyncssh"
    module = "benchmarks.leg.asyncssh_server"


class Edge(_Module):
    """Our edge with a core and a zone that say yes at once: the SSH leg by itself."""

    name = "pinggy, edge alone"
    module = "benchmarks.leg.edge_server"
    user = "tcp"
    terminal = True

    @property
    def tls(self) -> Path:
        """Where its certificate is: ``ca.pem``, ``cert.pem`` and ``key.pem``."""
        return self.folder / "edge" / "tls"

    def longest_turn(self) -> float:
        """Milliseconds of CPU that one turn of its reactor took at most, since the last time that this was asked."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGUSR2)
        return float(self._process.stdout.readline())


class Ours:
    """``twistd pinggy``: core, database, DNS and edge; a tunnel asks them all before its URL is there."""

    name = "pinggy"
    user = "tcp"
    terminal = True

    def __init__(self, folder: Path) -> None:
        (folder / "ours").mkdir()
        self.service = Service(folder / "ours", limits=_LIMITS)
        settings = re.sub(r"first = \d+\nlast = \d+", "first = 2000\nlast = 9999", self.service.config.read_text())
        self.service.config.write_text(settings + "[visitors]\nconnections_per_address = 100000\n")
        self.port = self.service.https_port

    def start(self) -> None:
        self.service.start()

    def stop(self) -> None:
        self.service.stop()

    @property
    def pid(self) -> int:
        assert self.service.process is not None
        return self.service.process.pid


_LIMITS = """anonymous_tunnels_per_address = 100000
new_tunnels_per_minute_per_address = 1000000
tunnels_per_account = 100000"""


def make_keys(folder: Path) -> None:
    """``host_key`` and ``client_key``."""
    for name in ("host_key", "client_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)


def ssh_words(server: Server, folder: Path, *words: str, port: int | None = None, user: str | None = None) -> list[str]:
    return [
        *("ssh", "-F", "none", "-p", str(port or server.port), "-i", str(folder / "client_key")),
        *("-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "BatchMode=yes", *words, f"{user or server.user}@127.0.0.1"),
    ]


@contextmanager
def tunnel(
    server: Server, folder: Path, local_port: int, *, cipher: str | None = None, port: int | None = None
) -> Iterator[int]:
    """A tunnel to *local_port*; gives the port that visitors connect to. *port*: another way to the server."""
    options: Sequence[str] = ("-c", cipher) if cipher else ()
    words = ["-R", f"0:127.0.0.1:{local_port}", *options]
    ssh = subprocess.Popen(
        ssh_words(server, folder, *words, *(() if server.terminal else ("-N",)), port=port),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        line = Lines(ssh).until("tcp://" if server.terminal else "Allocated port")
        found = re.search(r":(\d+)$" if server.terminal else r"Allocated port (\d+)", line)
        assert found, line
        yield int(found[1])
    finally:
        ssh.kill()
        ssh.wait()


def processes(pid: int) -> list[int]:
    """*pid* and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def cpu_seconds(pid: int) -> float:
    """What *pid*, those below it and their children that have ended have spent."""
    spent = 0
    for each in processes(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        spent += sum(map(int, fields[11:15]))
    return spent / TICKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes: of the *server*'s processes, and of its *database*'s."""

    server: int
    database: int


def memory(pid: int) -> Memory:
    """Of *pid* and those below it: what is theirs, and their parts of what is shared."""
    bytes_of = {False: 0, True: 0}
    for each in processes(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            name = Path(f"/proc/{each}/comm").read_text().strip()
        except OSError:
            continue
        kilobytes = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        bytes_of[name == "postgres"] += kilobytes * 1024
    return Memory(server=bytes_of[False], database=bytes_of[True])

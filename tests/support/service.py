"""
The whole service as a real process: ``twistd pinggy`` with ports picked free and a state folder of its own.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ports import Ports

PATIENCE = 60.0  # seconds until something that must happen is given up
_ports = Ports()


def free_port() -> int:
    """A port that stays free until a service takes it."""
    return _ports.free()


@dataclass(slots=True)
class Lines:
    """What a process prints, line by line, as it comes."""

    process: subprocess.Popen[str]
    seen: list[str] = field(default_factory=list)
    _coming: queue.SimpleQueue[str | None] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._coming.put(line.rstrip("\r\n"))
        self._coming.put(None)

    def next(self, seconds: float = PATIENCE) -> str | None:
        """The next line, None at the end."""
        line = self._coming.get(timeout=seconds)
        if line is None:
            self._coming.put(None)
        else:
            self.seen.append(line)
        return line

    def is_empty(self) -> bool:
        return self._coming.empty()

    def until(self, part: str, seconds: float = PATIENCE) -> str:
        """The first line that contains *part*."""
        while (line := self.next(seconds)) is not None:
            if part in line:
                return line
        raise AssertionError(f"{part!r} was never printed, but:\n" + "\n".join(self.seen))

    def rest(self) -> list[str]:
        """All that comes until the process ends its output."""
        rest = []
        while (line := self.next()) is not None:
            rest.append(line)
        return rest


class Service:
    """
    One ``twistd pinggy``. *settings* is TOML text for what a test needs different, tables come last in it; *limits* and
    *listen* are lines of these tables.
    """

    def __init__(self, folder: Path, settings: str = "", limits: str = "", listen: str = "") -> None:
        self.folder = folder
        self.state = folder / "state"
        self.https_port, self.http_port, self.core_port = free_port(), free_port(), free_port()
        self.dns_port, self.metrics_port = free_port(), free_port()
        tunnels = _ports.of_tunnels()
        self.config = folder / "pinggy.toml"
        self.config.write_text(
            f'state = "{self.state}"\n{settings}\n'
            f"[listen]\nhttps_port = {self.https_port}\nhttp_port = {self.http_port}\n"
            f"dns_port = {self.dns_port}\ncore_port = {self.core_port}\n{listen}\n"
            f'[metrics]\nlisten = "127.0.0.1:{self.metrics_port}"\n'
            f"[ports]\nfirst = {tunnels[0]}\nlast = {tunnels[-1]}\n"
            f"[limits]\n{limits or MANY}\n"
        )
        self.log = folder / "pinggy.log"
        self.process: subprocess.Popen[str] | None = None
        self.lines: Lines | None = None

    def start(self) -> None:
        """Returns when it is ready."""
        self.launch()
        assert self.lines is not None
        self.lines.until("pinggy is ready")
        self.lines.until("Ctrl-C stops everything")

    def launch(self) -> None:
        twistd = shutil.which("twistd", path=str(Path(sys.executable).parent))
        assert twistd is not None
        self.process = subprocess.Popen(
            [twistd, "--nodaemon", "--pidfile=", f"--logfile={self.log}", "pinggy", "--config", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
        )
        self.lines = Lines(self.process)

    def stop(self) -> int:
        """As Ctrl-C does; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)

    @property
    def token(self) -> str:
        """The token of the account ``local``, which has reserved the name ``hello``."""
        return (self.state / "first.token").read_text().strip()

    @property
    def ca(self) -> Path:
        return self.state / "tls" / "ca.pem"

    @property
    def certificate(self) -> Path:
        return self.state / "tls" / "cert.pem"

    @property
    def known_hosts(self) -> Path:
        return self.state / "known_hosts"

    def pinggy(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The operator's command against this service."""
        command = Path(sys.executable).parent / "pinggy"
        environment = {**os.environ, "PINGGY_STATE": str(self.state)}
        done = subprocess.run(
            [command, *words], env=environment, text=True, capture_output=True, timeout=PATIENCE, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def new_token(self, account: str) -> str:
        """A token of *account*, made if it is not there."""
        self.pinggy("account", "add", account, check=False)
        return self.pinggy("token", "add", account).stdout.strip()

    def failures(self) -> list[str]:
        """Lines of the log that no test should leave: tracebacks and lost errors."""
        return [line for line in self.log.read_text().splitlines() if "Traceback" in line or "Unhandled" in line]


MANY = """anonymous_tunnels_per_address = 1000
new_tunnels_per_minute_per_address = 10000
tunnels_per_account = 1000"""

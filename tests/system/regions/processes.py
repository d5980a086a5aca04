"""
A program at a site: started, killed, frozen, started again; what it says goes into a file.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.service import PATIENCE
from tests.system.regions.namespaces import Site

HERE = Path(__file__).parents[3]


class Program:
    """*ready* is what it says when it serves. It runs in *folder*, where its log is too."""

    def __init__(self, name: str, site: Site, words: Sequence[str], *, folder: Path, ready: str) -> None:
        self.name = name
        self.site = site
        self.log = folder / f"{name}.log"
        self._words = words
        self._folder = folder
        self._ready = ready
        self._said_before = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.wanted = False

    def launch(self) -> None:
        """Start it and do not wait."""
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        self.wanted = True
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.site.enter, *self._words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(HERE), "PYTHONUNBUFFERED": "1"},
            )

    async def start(self) -> None:
        """Returns when it serves."""
        self.launch()
        await self.until(self._ready)

    async def until(self, part: str, seconds: float = PATIENCE) -> None:
        """Wait until it has said *part* since it was last started."""
        bound = time.monotonic() + seconds
        while part.encode() not in self._said():
            assert self.runs, f"{self.name} has ended:\n{self.tail()}"
            assert time.monotonic() < bound, f"{self.name} never said {part!r}:\n{self.tail()}"
            await asyncio.sleep(0.03)

    def _said(self) -> bytes:
        with self.log.open("rb") as log:
            log.seek(self._said_before)
            return log.read()

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        return self._process.poll() if self._process is not None else None

    def tell(self, line: str) -> None:
        """A line for its standard input."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """As ``kill -9`` of it and of all that it has started."""
        self.wanted = False
        self._signal(signal.SIGKILL)
        self.reap()

    def ask_to_stop(self) -> None:
        """Ask it to end and do not wait."""
        self.wanted = False
        assert self._process is not None
        if self.runs:
            self._process.send_signal(signal.SIGTERM)

    def finish(self) -> None:
        """End its standard input, and wait until it has ended by that."""
        self.wanted = False
        self.reap()

    def reap(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        for pid in [*_descendants(self._process.pid), self._process.pid] if self.runs else []:
            os.kill(pid, number)

    def tail(self) -> str:
        return b"\n".join(self._said().splitlines()[-20:]).decode("utf-8", "replace")

    def complaints(self) -> list[str]:
        """What no daemon should ever say: tracebacks and lost errors."""
        lines = self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []
        return [f"{self.name}: {line}" for line in lines if "Traceback" in line or "Unhandled" in line]


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue  # it has just ended
        children.setdefault(parent, []).append(int(process.name))
    found = list(children.get(pid, []))
    for each in found:
        found += children.get(each, [])
    return found

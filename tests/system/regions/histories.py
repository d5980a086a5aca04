"""
What was seen in a run, as values: each process writes its own file of JSON lines. Times are seconds since the epoch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

OK = "ok"
CORRUPT = "corrupt"
CUT_SHORT = "cut-short"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """
    One request. *kind* is how it was made, *resolver* who was asked for the address, *edge* the one that it went to.
    *answered_by* is the account whose local server has answered. *outcome* is ``ok``, ``corrupt``, or what failed.
    """

    at: float
    took: float
    kind: str
    name: str
    resolver: str
    edge: str
    nonce: str
    outcome: str
    answered_by: str | None = None

    @property
    def is_failure(self) -> bool:
        return self.outcome != OK


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientEvent:
    """*what* is ``starts``, ``live``, ``ended``, ``moves`` or ``vanishes``; *session* counts a client's processes."""

    at: float
    account: str
    what: str
    session: int
    edge: str
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A row of the ledger's own history: who held *name*, and *port*, with *epoch*; *ended* None: still."""

    tunnel: str
    account: str | None
    edge: str
    region: str
    kind: str
    name: str
    port: int | None
    epoch: int
    started: float
    ended: float | None
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one server of the zone says of a tunnel's name."""

    server: str
    name: str
    region: str


class Writer:
    """Appends values to the file *path*, at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def write(self, value: Any) -> None:
        self._file.write(json.dumps(asdict(value)) + "\n")

    def close(self) -> None:
        self._file.close()


def read_visits(path: Path) -> Iterator[Visit]:
    return (Visit(**each) for each in _lines(path))


def read_client_events(path: Path) -> Iterator[ClientEvent]:
    return (ClientEvent(**each) for each in _lines(path))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open() as lines:
        for line in lines:
            # The last one may be half written: its process was ended.
            if line.endswith("\n"):
                yield json.loads(line)


def now() -> float:
    return time.time()

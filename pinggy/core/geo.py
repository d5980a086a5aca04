"""
The GeoIP file of the zone's servers, kept as it should be: made anew when edges, or the operator's database, change.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from pinggy.core.ledger import Ledger, LedgerAway
from pinggy.core.news import EdgesChanged, News
from pinggy.program import Program

# Seconds between two looks whether something has changed that nobody has told.
_LOOKED_EVERY = 60.0
# A city database of 5 million networks takes some minutes.
_LONGEST = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoFile:
    """The *body*; *tag* is another where the content is."""

    tag: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the file is made of: degrees by address; when the operator's database was written, and its size."""

    places: dict[str, tuple[float, float]]
    database: tuple[int, int] | None


class GeoBook:
    """*database* is the operator's file, if he names one."""

    _log = Logger()

    def __init__(self, reactor: Any, ledger: Ledger, news: News, database: Path | None) -> None:
        self._reactor = reactor
        self._ledger = ledger
        self._database = database
        self._made_of: _Wanted | None = None
        self._program: Program | None = None
        self._work: Deferred[None] | None = None
        self._again = False
        self._next: IDelayedCall | None = None
        self._running = False
        self._waiting: list[Deferred[None]] = []
        self.file: GeoFile | None = None
        # Why the last one was not made.
        self.trouble: str | None = None
        news.hear(EdgesChanged, lambda _: self.look())
        news.on_gap.append(self.look)

    def start(self) -> None:
        self._running = True
        self.look()

    def stop(self) -> Deferred[None]:
        """Fires when no program runs any more."""
        self._running = False
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._program is not None:
            self._program.kill()
        return succeed(None) if self._work is None else self._settled()

    def look(self) -> None:
        """Something may have changed."""
        if not self._running:
            return
        if self._work is not None:
            self._again = True
            return
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._work = Deferred.fromCoroutine(self._look())
        self._work.addErrback(lambda failure: self._log.failure("making the GeoIP file broke", failure))
        self._work.addCallback(self._looked)

    def _settled(self) -> Deferred[None]:
        settled: Deferred[None] = Deferred()
        self._waiting.append(settled)
        return settled

    def _looked(self, _: object) -> None:
        self._work = None
        again, self._again = self._again, False
        if again and self._running:
            self.look()
            return
        if self._running:
            # Spread, so that several cores do not make theirs at one instant.
            pause = _LOOKED_EVERY * random.uniform(0.8, 1.2)  # noqa: S311
            self._next = self._reactor.callLater(pause, self.look)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    async def _look(self) -> None:
        try:
            edges = await self._ledger.transact(lambda ledger: ledger.edges())
        except LedgerAway:
            return
        places = {
            address: (edge.latitude, edge.longitude)
            for edge in edges
            for address in edge.addresses
            if edge.latitude is not None and edge.longitude is not None
        }
        wanted = _Wanted(places=places, database=self._written())
        if wanted != self._made_of and self._running:
            with tempfile.TemporaryDirectory(prefix="pinggy-geo-") as folder:
                await self._make(wanted, Path(folder) / "geo.mmdb")

    async def _make(self, wanted: _Wanted, out: Path) -> None:
        database = None if self._database is None else str(self._database)
        asked = {"places": wanted.places, "database": database, "out": str(out)}
        command = (sys.executable, "-m", "pinggy.dns.geo.compose")
        self._program = Program(self._reactor, command, json.dumps(asked).encode("utf-8"), timeout=_LONGEST)
        outcome = await self._program.over
        self._program = None
        if not self._running:
            return
        # Also where it failed: it would fail again, until something changes. A signal may be anybody's.
        self._made_of = None if outcome.status is None else wanted
        self.trouble = None
        if outcome.status == 0:
            self.file = GeoFile(tag=outcome.said, body=out.read_bytes())
            self._log.info("the GeoIP file was made: {size} bytes", size=len(self.file.body))
        else:
            said = outcome.said.splitlines()
            self.trouble = said[-1] if said else f"the program ended with {outcome.status}"
            self._log.warn("the GeoIP file was not made, gates keep the one that they have: {why}", why=self.trouble)

    def _written(self) -> tuple[int, int] | None:
        if self._database is None:
            return None
        try:
            status = self._database.stat()
        except OSError:
            # The program says it.
            return (0, -1)
        return (status.st_mtime_ns, status.st_size)

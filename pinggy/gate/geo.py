"""
The GeoIP file of this gate's PowerDNS: fetched from the core when it has another one, put in place, and loaded.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from pathlib import Path
from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers

from pinggy.dns.geo.file import LARGEST, GeoUnusable, check, compose
from pinggy.dns.powerdns.body import TooLong, read_body
from pinggy.gate.config import CoreSettings, GeoSettings
from pinggy.program import Program
from pinggy.settings import Secret, SettingsError
from pinggy.trust import trust
from pinggy.tunnel.refusals import echo
from pinggy.wire import paths

_SOONEST = 2.0
# Seconds for one fetch of the largest file, over a slow link.
_FETCHING = 120.0
_CONNECTING = 5.0
_RELOADING = 10.0
_PROGRAMS = f"{os.environ.get('PATH', os.defpath)}:/usr/bin:/usr/local/bin"


class _NotFetched(Exception):
    """The text says why, fit to follow a colon."""


class GeoKeeper:
    """
    *key* is what the core lists the zone with at this gate: it knows the gate by it. Raises `SettingsError` where a
    setting is of no use.
    """

    _log = Logger()

    def __init__(self, reactor: Any, core: CoreSettings, geoip: GeoSettings, key: Secret) -> None:
        self._reactor = reactor
        self._url = core.url.rstrip("/") + paths.GEO
        self._file = geoip.file
        self._control = (
            shutil.which("pdns_control", path=_PROGRAMS) or "pdns_control",
            f"--socket-dir={geoip.control_dir}",
            "reload",
        )
        self._key = key
        pool = HTTPConnectionPool(reactor, persistent=False)
        agent = Agent(reactor, contextFactory=trust(core.ca), connectTimeout=_CONNECTING, pool=pool)
        self._http = HTTPClient(agent)
        self._tag: str | None = None
        # Whether PowerDNS has what the file has. Of a file from before nobody knows.
        self._loaded = False
        self._trouble: str | None = None
        self._interval = geoip.interval
        self._soon = _SOONEST
        self._next: IDelayedCall | None = None
        self._work: Deferred[None] | None = None
        self._request: Deferred[tuple[int, bytes, str | None]] | None = None
        self._program: Program | None = None
        self._running = False

    def prepare(self) -> None:
        """
        There is a file when this returns, an empty one if need be: PowerDNS does not start without. Raises
        `SettingsError`.
        """
        if not self._file.exists():
            try:
                self._in_place(self._write_empty())
            except (GeoUnusable, OSError) as error:
                why = getattr(error, "strerror", None) or error
                raise SettingsError(f"The setting zone.geoip.file = {self._file} is of no use: {why}") from error

    def start(self) -> None:
        self._running = True
        self._round()

    def stop(self) -> Deferred[None]:
        """Fires when nothing is under way any more."""
        self._running = False
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._request is not None:
            self._request.cancel()
        if self._program is not None:
            self._program.kill()
        over: Deferred[None] = Deferred()
        if self._work is None:
            return succeed(None)
        self._work.addCallback(lambda _: over.callback(None))
        return over

    def _round(self) -> None:
        self._work = Deferred.fromCoroutine(self._look())
        self._work.addErrback(lambda failure: self._log.failure("keeping the GeoIP file broke", failure))
        self._work.addCallback(self._looked)

    def _looked(self, _: object) -> None:
        self._work = None
        if self._running:
            pause = self._interval
            if self._trouble is not None:
                pause = min(self._soon, self._interval)
            self._soon = _SOONEST if self._trouble is None else 2 * pause
            pause *= random.uniform(0.8, 1.2)  # noqa: S311
            self._next = self._reactor.callLater(pause, self._round)

    async def _look(self) -> None:
        try:
            await self._fetch()
            if not self._loaded:
                await self._load()
        except _NotFetched as error:
            if self._running and str(error) != self._trouble:
                self._log.warn("the GeoIP file is not renewed: {why}", why=str(error))
            self._trouble = str(error)
        else:
            if self._trouble is not None:
                self._log.info("the GeoIP file is renewed again")
            self._trouble = None

    async def _fetch(self) -> None:
        status, body, tag = await self._exchange()
        if status == 304:
            return
        if status != 200:
            raise _NotFetched(f"the core answers with HTTP status {status}")
        if body != self._file.read_bytes():
            fetched = self._beside()
            try:
                fetched.write_bytes(body)
                check(fetched)
                self._in_place(fetched)
            except (GeoUnusable, OSError) as error:
                fetched.unlink(missing_ok=True)
                raise _NotFetched(str(error).rstrip(".")) from error
            self._loaded = False
        self._tag = tag

    async def _exchange(self) -> tuple[int, bytes, str | None]:
        self._request = Deferred.fromCoroutine(self._ask())
        too_late = self._reactor.callLater(_FETCHING, self._request.cancel)
        try:
            return await self._request
        except CancelledError:
            why = f"the core has not sent it within {_FETCHING:g} seconds"
        except TooLong:
            why = f"the core sends more than {LARGEST} bytes"
        except Exception as error:
            # What the libraries raise on a peer's nonsense, they promise nothing of.
            reasons = [each.value for each in getattr(error, "reasons", ())]
            why = echo(str(reasons[0] if reasons else error) or type(error).__name__)
        finally:
            self._request = None
            if too_late.active():
                too_late.cancel()
        raise _NotFetched(why)

    async def _ask(self) -> tuple[int, bytes, str | None]:
        headers = Headers({b"Authorization": [b"Bearer " + self._key.reveal().encode("ascii")]})
        if self._tag is not None:
            headers.setRawHeaders(b"If-None-Match", [self._tag.encode("latin-1")])
        # A redirection is not followed: the key is for the core alone.
        response = await self._http.get(self._url, headers=headers, allow_redirects=False, unbuffered=True)
        body = await read_body(response, LARGEST)
        tags = response.headers.getRawHeaders("ETag")
        return response.code, body, tags[0] if tags else None

    async def _load(self) -> None:
        self._program = Program(self._reactor, self._control, timeout=_RELOADING)
        outcome = await self._program.over
        self._program = None
        if outcome.status != 0:
            said = outcome.said.splitlines()[-1] if outcome.said else f"status {outcome.status}"
            raise _NotFetched(f"PowerDNS did not load it: pdns_control says: {echo(said)}")
        self._loaded = True
        body = self._file.read_bytes()
        self._log.info(
            "PowerDNS has loaded another GeoIP file: {size} bytes, SHA-256 {digest}...",
            size=len(body),
            digest=hashlib.sha256(body).hexdigest()[:16],
        )

    # -- the file -----------------------------------------------------------------------------------------------------

    def _beside(self) -> Path:
        return self._file.with_name(f".{self._file.name}.{os.getpid()}")

    def _write_empty(self) -> Path:
        compose({}, None, self._beside())
        return self._beside()

    def _in_place(self, written: Path) -> None:
        """All at once: PowerDNS may read it at any time. It runs as another user."""
        written.chmod(0o644)
        written.replace(self._file)

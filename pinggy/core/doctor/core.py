"""
The core itself: its database, what it signs with, what it shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from twisted.internet.interfaces import IReactorTime

from pinggy.core.doctor.findings import note, section, span, well, wrong
from pinggy.core.ledger import Ledger, LedgerAway, LedgerError
from pinggy.core.migrations import load_migrations
from pinggy.wire.doctor import Finding, Section

# Seconds before its end in which a certificate should have been renewed.
CERTIFICATE_SOON = 7 * 86_400.0
AUTHORITY_SOON = 60 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """
    What a core can be asked about itself. *hears*: whether news of other cores comes. *expires* and
    *authority_expires* are seconds since 1970, None where there is no certificate. *signs*: whether it has a grant key;
    *gates*: whether one is needed. *entry*: the host that leads to the nearest edge, and what is wrong with it; None
    where there is none.
    """

    hears: Callable[[], bool] = lambda: True
    expires: Callable[[], float | None] = lambda: None
    authority_expires: float | None = None
    signs: bool = False
    gates: bool = False
    entry: Callable[[], tuple[str, str | None] | None] = lambda: None


class CoreCheck:
    def __init__(self, clock: IReactorTime, ledger: Ledger, papers: Papers, now: Callable[[], float]) -> None:
        self._clock = clock
        self._ledger = ledger
        self._papers = papers
        self._now = now

    async def look(self) -> Section:
        database = await self._database()
        return section("Core", [*database, self._news(), *self._certificates(), *self._grants(), *self._entry()])

    async def _database(self) -> list[Finding]:
        began = self._clock.seconds()
        newest = load_migrations()[-1].number
        try:
            schema = await self._ledger.transact(lambda ledger: ledger.schema())
        except (LedgerAway, LedgerError) as error:
            return [
                wrong(
                    "database",
                    f"The database does not answer: {error}",
                    advice="Is PostgreSQL up there? Tunnels go on.",
                )
            ]
        took = span(self._clock.seconds() - began)
        this = f"This is pinggy {version('pinggy')}, and the database has migration {schema:03}"
        if schema > newest:
            return [
                well("database", f"The database answers in {took}."),
                wrong("version", f"{this}, of a newer core.", advice="Upgrade this core too."),
            ]
        return [well("version", f"{this}."), well("database", f"The database answers in {took}.")]

    def _news(self) -> Finding:
        if self._papers.hears():
            return well("news", "It hears of what other cores do.")
        return wrong(
            "news",
            "It does not hear of what other cores do: its connection for that is lost.",
            advice="It is made again by itself; where it stays so, look at the database.",
        )

    def _certificates(self) -> list[Finding]:
        found = []
        expires, authority = self._papers.expires(), self._papers.authority_expires
        if expires is not None:
            advice = "Renew it: new files in the same places are read by themselves."
            found.append(self._good("certificate", "Its certificate", expires, CERTIFICATE_SOON, advice))
        if authority is None:
            found.append(note("relay-authority", "It has no relay_ca: edges do not pass visitors on to each other."))
        else:
            advice = "Take the file relay_ca away from all cores, and restart them: another one is made."
            found.append(
                self._good("relay-authority", "The authority of edges' certificates", authority, AUTHORITY_SOON, advice)
            )
        return found

    def _good(self, check: str, what: str, expires: float, soon: float, advice: str) -> Finding:
        left = expires - self._now()
        if left <= 0:
            return wrong(check, f"{what} is over since {span(-left)}.", advice=advice)
        if left < soon:
            return wrong(check, f"{what} is over in {span(left)}.", advice=advice)
        return well(check, f"{what} is good for {span(left)}.")

    def _grants(self) -> list[Finding]:
        if self._papers.signs:
            return [well("grant-key", "It signs grants for the gates of the zone.")]
        if self._papers.gates:
            return [
                wrong(
                    "grant-key",
                    "It signs no grants, and there are gates that want them signed.",
                    advice="Give all cores the setting grant_key, and the gates what 'pinggy zone key' prints.",
                )
            ]
        return []

    def _entry(self) -> list[Finding]:
        said = self._papers.entry()
        if said is None:
            return []
        host, trouble = said
        if trouble is None:
            return [well("entry", f"It keeps the entry {host}, which leads to the nearest edge.")]
        advice = "What stands goes on to answer, and it is tried again."
        return [wrong("entry", f"The entry {host} is not as it should be: {trouble}", advice=advice)]

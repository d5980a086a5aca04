"""
Mends what edges' reports and the ledger say differently of names, and logs each.

An edge holds a name from the moment at which its `live` was answered until the moment before it says `release`, and
each grant has an epoch of its own. So, of what a report says:

* A tunnel that is over in the ledger, or unknown to it, was there when the edge began to serve it, and ids are never
  used again: the edge has not heard of its end. It is ordered to close it; not in the first seconds, for the end may be
  on its way, or this report older than it, and not while its successor is awaited (`handovers`).
* A name that the edge serves for a tunnel which lives, but does not have it, was withdrawn by a release (the report is
  older), or the books differ. A name that is live in the ledger and not served was released just then (the ledger
  will hear of it), or its `live` is being answered (the edge will serve it; so none is missed whose opening may be on
  its way, `holdings`), or the books differ. Each message of an edge is over in 15 s, answered or undone. So what two
  reports say alike, one after the other, is no message on its way: it is a difference. Not alike is a name that was
  missed, and then served in vain: it was opened, and withdrawn. Twice the same report, as after a cut connection, is
  one: half of the interval must lie between them.

What is ended is looked at again under its tunnel's lock: whoever has changed it meanwhile is right. A report in several
messages says of each which names it is about, so that none stands for what another one says: they may even reach
different cores.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Literal

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pinggy.core.holdings import Compared, Key, Name, compare, key_of
from pinggy.core.ledger import EdgeEntry, Ended, Ledger, NewOrder, Transaction, close_order, closing
from pinggy.core.metrics import CoreMetrics
from pinggy.core.news import TunnelsEnded
from pinggy.core.places import displaced_by
from pinggy.tunnel.endings import LeaseLost, NotHeld
from pinggy.tunnel.refusals import Conflict, MalformedMessage, Refusal
from pinggy.wire.messages import Done, Holding, Report
from pinggy.wire.orders import Close

# A tunnel that ended so many seconds ago may be closed without an order, or be in a report that was said before.
SETTLED = 30.0
# Of one message; the next report brings the others.
_MOST_MENDED = 500
_MOST_LINES = 100
_MOST_SUSPECTS = 20_000
_TUNNEL = re.compile(r"[0-9a-f]{32}", re.ASCII)
_NAME = re.compile(r"[a-z0-9_-]{0,63}", re.ASCII)
_HIGHEST_EPOCH = 2**63 - 1

# What is wrong with a name, and which: to serve one and the same in vain, and not to serve it, are two things.
Suspect = tuple[Literal["unknown-name", "not-held"], Key]


class _Mending:
    """
    One report of *edge* within one transaction; *due* is what is believed if it is said now. Each difference is put
    into *said*, as its sentence and its kind.
    """

    def __init__(self, ledger: Transaction, edge: EdgeEntry, due: Collection[Suspect], said: dict[str, str]) -> None:
        self._ledger = ledger
        self._edge = edge
        self._due = due
        self.suspects: set[Suspect] = set()
        self.orders: list[NewOrder] = []
        # Tunnels that have lost names, by which the zone is cleaned.
        self.lost: set[str] = set()
        self._said = said

    async def mend(self, found: Compared) -> None:
        odd = await self._close_unknown(found.strange[:_MOST_MENDED])
        self.suspects = {("unknown-name", key_of(each)) for each in odd}
        self.suspects |= {("not-held", key_of(each)) for each in found.missed}
        believed = {suspect for suspect in self.suspects if suspect in self._due}
        for tunnel in sorted({tunnel for _, (tunnel, _, _) in believed})[:_MOST_MENDED]:
            strange = {key[1:] for kind, key in believed if kind == "unknown-name" and key[0] == tunnel}
            missing = {key[1:] for kind, key in believed if kind == "not-held" and key[0] == tunnel}
            await self._mend_tunnel(tunnel, strange, missing)

    async def _close_unknown(self, strange: Sequence[Holding]) -> list[Holding]:
        """Order that tunnels which are over be closed; the answer is what is held for live ones."""
        fates = await self._ledger.fates(self._edge.name, {each.tunnel for each in strange}) if strange else {}
        over = {tunnel: fate for tunnel, fate in fates.items() if fate is None or fate.ago >= SETTLED}
        for each in strange:
            if each.tunnel in over:
                self._say("unknown-tunnel", f"{_serves(*key_of(each))}, which is over")
        for tunnel, fate in over.items():
            reason = LeaseLost.of() if fate is None else fate.reason
            close = Close(tunnel=tunnel, code=reason.code, text=reason.text)
            self.orders.append(NewOrder(edge=self._edge.name, order=close))
        return [each for each in strange if each.tunnel not in fates]

    async def _mend_tunnel(self, tunnel: str, strange: set[Name], missing: set[Name]) -> None:
        """Under its lock: what was found may be so no longer."""
        entry = await self._ledger.tunnel(tunnel)
        if entry is None or entry.edge != self._edge.name:
            return
        has = [each.forwarding for each in await self._ledger.forwardings(tunnel)]
        strange = strange - {(each.name, each.epoch) for each in has}
        missed = [each for each in has if (each.name, each.epoch) in missing]
        for name, epoch in sorted(strange):
            self._say("unknown-name", f"{_serves(tunnel, name, epoch)}, which does not have it")
        for lost in missed:
            self._say("not-held", f"it does not serve {lost.name}, which tunnel {tunnel} has by epoch {lost.epoch}")
        if strange:
            ended = await self._end(tunnel, LeaseLost.of())
            self.orders += [close_order(each, LeaseLost.of()) for each in ended]
        elif missed and len(missed) == len(has):
            await self._end(tunnel, NotHeld.of())
        elif missed:
            await self._ledger.end_forwardings(tunnel, [each.number for each in missed])
            self.lost.add(tunnel)

    async def _end(self, tunnel: str, reason: Refusal) -> tuple[Ended, ...]:
        ended = await self._ledger.end((tunnel,), reason)
        self.lost.add(tunnel)
        # Whoever was to be closed when it is live is to be closed now.
        self.orders += closing(await self._ledger.finish_handovers((tunnel,)))
        self.orders += await displaced_by(self._ledger, ended)
        return ended

    def _say(self, kind: str, line: str) -> None:
        self._said[line] = kind


class Reconciler:
    """
    *interval* is the seconds between two reports of an edge.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        ledger: Ledger,
        interval: float,
        metrics: CoreMetrics | None = None,
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._interval = interval
        self._metrics = metrics or CoreMetrics()
        # By edge: when it first said what cannot be told yet from a message on its way.
        self._suspects: dict[str, dict[Suspect, float]] = {}

    def report(self, edge: EdgeEntry, message: Report) -> Deferred[Done]:
        """
        Compare and mend. Fails with `Conflict` where *edge* runs as another instance; raises `MalformedMessage` at once
        where the message is out of bounds.
        """
        _check(message)
        due = self._due(edge.name)
        # Where the answer to the commit is lost and this is done again, there is nothing left to be found.
        said: dict[str, str] = {}

        async def work(ledger: Transaction) -> _Mending:
            held = await ledger.held_at(edge.name, message.instance, message.after, message.upto)
            if held is None:
                raise Conflict("This edge has not registered as this instance: another one reports.")
            mending = _Mending(ledger, edge, due, said)
            await mending.mend(compare(message.holdings, held))
            await ledger.note_report(edge.name, len(message.holdings), list(said), more=message.after != "")
            if mending.lost:
                await ledger.tell(TunnelsEnded(tunnels=tuple(sorted(mending.lost))))
            if mending.orders:
                await ledger.order(mending.orders)
            return mending

        def committed(mending: _Mending) -> Done:
            self._suspect(edge.name, message, mending.suspects)
            self._say(edge.name, said)
            return Done()

        return self._ledger.transact(work).addCallback(committed)

    def _due(self, edge: str) -> set[Suspect]:
        """What *edge* has said long enough ago to be believed if it says it now."""
        before = self._clock.seconds() - self._interval / 2
        return {suspect for suspect, since in self._suspects.get(edge, {}).items() if since <= before}

    def _suspect(self, edge: str, message: Report, found: Iterable[Suspect]) -> None:
        now = self._clock.seconds()
        before = self._suspects.pop(edge, {})
        others = {suspect: since for suspect, since in before.items() if not _is_about(message, suspect[1][1])}
        kept = others | {suspect: before.get(suspect, now) for suspect in found}
        if kept:
            self._suspects[edge] = dict(list(kept.items())[:_MOST_SUSPECTS])

    def _say(self, edge: str, said: dict[str, str]) -> None:
        for what in said.values():
            self._metrics.report_differs(what)
        for line in islice(said, _MOST_LINES):
            self._log.warn("edge {edge} and the ledger differ: {what}; it is put right", edge=edge, what=line)
        if len(said) > _MOST_LINES:
            more = len(said) - _MOST_LINES
            self._log.warn("edge {edge} and the ledger differ in {more} names more; put right", edge=edge, more=more)


def _serves(tunnel: str, name: str, epoch: int) -> str:
    return f"it serves {name} by epoch {epoch} for tunnel {tunnel}"


def _is_about(message: Report, name: str) -> bool:
    return message.after < name and (message.upto is None or name <= message.upto)


def _check(message: Report) -> None:
    if not _NAME.fullmatch(message.after) or (message.upto is not None and not _NAME.fullmatch(message.upto)):
        raise MalformedMessage("Report.after or Report.upto is out of its bounds.")
    for each in message.holdings:
        well_formed = _TUNNEL.fullmatch(each.tunnel) and _NAME.fullmatch(each.name)
        if not well_formed or not 0 <= each.epoch <= _HIGHEST_EPOCH or not _is_about(message, each.name):
            raise MalformedMessage("Report.holdings is out of its bounds.")

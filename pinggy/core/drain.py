"""
Edges that are being taken out of service: no new tunnels, and out of the records that lead clients to them.

The edge says so itself when it is asked to stop; or the operator does, and it is ordered to. A new start ends it.
"""

from __future__ import annotations

import re

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from pinggy.core.ledger import EdgeEntry, Ledger, NewOrder, Transaction
from pinggy.core.news import EdgesChanged
from pinggy.tunnel.refusals import Conflict, MalformedMessage, NotFound, echo
from pinggy.wire.messages import Done, Draining
from pinggy.wire.orders import Drain, Undrain

_INSTANCE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class Drains:
    _log = Logger()

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def said(self, edge: EdgeEntry, message: Draining) -> Deferred[Done]:
        """
        *edge* is draining. Fails with `Conflict` where it runs as another instance by now, with `MalformedMessage` at
        once where the message is out of bounds.
        """
        if not _INSTANCE.fullmatch(message.instance):
            raise MalformedMessage("Draining.instance is out of its bounds.")

        async def work(ledger: Transaction) -> Done:
            if not await ledger.set_draining(edge.name, True, message.instance):
                raise Conflict("This edge has not registered as this instance: another one runs.")
            await ledger.tell(EdgesChanged())
            return Done()

        return self._ledger.transact(work).addCallback(self._committed, edge.name, True)

    def begin(self, name: str) -> Deferred[Done]:
        """The operator wants the edge *name* drained."""
        return self._by_operator(name, True)

    def end(self, name: str) -> Deferred[Done]:
        """It shall have tunnels again."""
        return self._by_operator(name, False)

    def _by_operator(self, name: str, draining: bool) -> Deferred[Done]:
        async def work(ledger: Transaction) -> Done:
            if "\0" in name or not await ledger.set_draining(name, draining):
                raise NotFound(f"There is no edge {echo(name)}.")
            await ledger.tell(EdgesChanged())
            await ledger.order([NewOrder(edge=name, order=Drain() if draining else Undrain())])
            return Done()

        return self._ledger.transact(work, repeatable=False).addCallback(self._committed, name, draining)

    def _committed(self, done: Done, name: str, draining: bool) -> Done:
        self._log.info("edge {edge} {what}", edge=name, what="is draining" if draining else "takes tunnels again")
        return done

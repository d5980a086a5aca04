"""
Visitors in one process: so many requests a second, through resolvers that cache, each written down with its outcome.

    python -m tests.system.regions.visitors CONFIG

CONFIG is JSON (`Settings`). Requests begin at their times whether or not earlier ones are answered; when the standard
input ends, those under way finish.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dns.asyncresolver
import dns.exception

from tests.system.regions.bodies import Question, is_cut_short, parse_answer
from tests.system.regions.exchange import Connection, Outcome, open_connection
from tests.system.regions.histories import CORRUPT, CUT_SHORT, OK, Visit, Writer, now
from tests.system.regions.population import Scheme, Target, make_population

# Seconds until a visitor gives up: on an address, and on the whole.
_RESOLVE = 5.0
_PATIENCE = 15.0
# Requests under way at once: with more, a time is let pass.
_MOST = 400
_SIZES = (0, 300, 3_000, 40_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """*resolvers* are addresses and ports by name; *rate* is requests a second; *only* a name: no other is visited."""

    history: str
    domain: str
    port: int
    ca: str
    resolvers: dict[str, tuple[str, int]]
    rate: float
    seed: int
    members: int
    rivals: int
    only: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a visitor comes to *target*: over TLS that the edge ends or not, on a connection of its own or a kept one."""

    target: Target
    resolver: str
    secure: bool = False
    keep: bool = False

    @property
    def kind(self) -> str:
        scheme = "https" if self.secure and self.target.scheme is Scheme.HTTP else self.target.scheme.value
        return f"{scheme} kept" if self.keep else scheme


def ways_to(targets: list[Target], resolvers: list[str]) -> list[Way]:
    """All of them: http in four ways, tls and tcp in one."""
    ways = []
    for target, resolver in itertools.product(targets, resolvers):
        if target.scheme is Scheme.HTTP:
            for secure, keep in itertools.product((False, True), repeat=2):
                ways.append(Way(target=target, resolver=resolver, secure=secure, keep=keep))
        else:
            ways.append(Way(target=target, resolver=resolver, secure=target.scheme is Scheme.TLS))
    return ways


class Visitors:
    def __init__(self, settings: Settings, writer: Writer) -> None:
        self._settings = settings
        self._writer = writer
        self._random = random.Random(settings.seed)
        self._context = ssl.create_default_context(cafile=settings.ca)
        self._resolvers = {name: _resolver(*where) for name, where in settings.resolvers.items()}
        targets = [
            target
            for member in make_population(settings.members, rivals=settings.rivals)
            for target in member.targets
            if settings.only in ("", target.name)
        ]
        self._ways = ways_to(targets, list(settings.resolvers))
        self._kept: dict[Way, Connection] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, is_over: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        first = loop.time()
        turns = self._turns()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, first + number / self._settings.rate - loop.time()))
            if is_over():
                break
            if len(self._under_way) < _MOST:
                task = asyncio.ensure_future(self._visit(next(turns), f"{self._settings.seed}-{number}"))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
        await asyncio.gather(*self._under_way)

    def _turns(self) -> itertools.chain[Way]:
        return itertools.chain.from_iterable(
            self._random.sample(self._ways, len(self._ways)) for _ in itertools.count()
        )

    async def _visit(self, way: Way, nonce: str) -> None:
        question = Question(nonce=nonce, up=self._random.choice(_SIZES), down=self._random.choice(_SIZES))
        began = now()
        edge, outcome = "", Outcome("timeout")
        # Nobody else uses a kept connection while it is used here.
        connection = self._kept.pop(way, None)
        try:
            async with asyncio.timeout(_PATIENCE):
                if connection is None or connection.is_over:
                    connection = None
                    edge = await self._resolve(way)
                    connection = await self._connect(way, edge)
                edge = connection.edge
                outcome = await self._exchange(way, connection, question)
        except dns.exception.DNSException as error:
            outcome = Outcome(f"dns-{type(error).__name__}")
        except TimeoutError:
            outcome = Outcome("timeout")
        except (OSError, ssl.SSLError) as error:
            outcome = Outcome(type(error).__name__)
        finally:
            if connection is not None:
                if way.keep and outcome.may_go_on and way not in self._kept:
                    self._kept[way] = connection
                else:
                    connection.close()
        self._write(way, question, began, edge, outcome)

    async def _resolve(self, way: Way) -> str:
        """Raises `dns.exception.DNSException`."""
        answer = await self._resolvers[way.resolver].resolve(f"{way.target.host(self._settings.domain)}.", "A")
        return str(next(iter(answer)))

    async def _connect(self, way: Way, edge: str) -> Connection:
        port = way.target.port or self._settings.port
        host = way.target.host(self._settings.domain)
        if not way.secure:
            return await open_connection(edge, port)
        # What is sealed shows a certificate of its own; the edge's is checked.
        context = self._context if way.target.scheme is Scheme.HTTP else _unchecked()
        return await open_connection(edge, port, context=context, host=host)

    async def _exchange(self, way: Way, connection: Connection, question: Question) -> Outcome:
        if way.target.scheme is Scheme.HTTP:
            host = f"{way.target.host(self._settings.domain)}:{self._settings.port}"
            return await connection.http(host, question.line(), question.body(), keep=way.keep)
        return await connection.lines(question.line(), question.body())

    def _write(self, way: Way, question: Question, began: float, edge: str, outcome: Outcome) -> None:
        said, account = outcome.what, None
        if outcome.data is not None:
            answer = parse_answer(question, outcome.data)
            if answer is not None:
                said, account = OK, answer.account
            else:
                said = CUT_SHORT if outcome.ended_early and is_cut_short(question, outcome.data) else CORRUPT
        self._writer.write(
            Visit(
                at=began,
                took=now() - began,
                kind=way.kind,
                name=way.target.name,
                resolver=way.resolver,
                edge=edge,
                nonce=question.nonce,
                outcome=said,
                answered_by=account,
            )
        )


def _resolver(address: str, port: int) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [address]
    resolver.port = port
    resolver.lifetime = _RESOLVE
    return resolver


def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def run(settings: Settings) -> None:
    ended = asyncio.Event()
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    orders_end = asyncio.ensure_future(orders.read())
    orders_end.add_done_callback(lambda _: ended.set())
    await Visitors(settings, Writer(Path(settings.history))).run(ended.is_set)


def main() -> None:
    asyncio.run(run(Settings(**json.loads(Path(sys.argv[1]).read_text()))))


if __name__ == "__main__":
    main()

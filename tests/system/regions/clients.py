"""
The clients of all accounts, in one process: each keeps a real ssh running, as autossh does.

    python -m tests.system.regions.clients CONFIG

CONFIG is JSON (`Settings`). Lines on the standard input: ``move ACCOUNT EDGE`` starts a second ssh at EDGE with force;
``vanish ACCOUNT EDGE SECONDS`` stops the running one without a word and starts another at EDGE, without force;
``go ACCOUNT EDGE`` kills it and starts another there. The history says what came of it. The end of the input is the
end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.system.regions.histories import ClientEvent, Writer, now
from tests.system.regions.local_server import LocalServer
from tests.system.regions.population import Member, Target, make_population

# Seconds: between two tries, as a loop of a careful user has it; for the old ssh of a move to be told; for one that
# stood still to find out that it is late.
_AGAIN = 0.5
_AGAIN_AT_MOST = 4.0
_TOLD = 20.0
_WOKEN = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """*edges* are addresses by name, *tokens* the accounts'."""

    history: str
    known_hosts: str
    certificate: str
    key: str
    port: int
    edges: dict[str, str]
    tokens: dict[str, str]
    members: int
    rivals: int


@dataclass(slots=True)
class Session:
    """One ssh process."""

    number: int
    edge: str
    process: Process
    is_live: asyncio.Event = field(default_factory=asyncio.Event)
    # It has ended, or nobody counts on it any more.
    over: asyncio.Event = field(default_factory=asyncio.Event)
    said: str = ""


class Client:
    """The loop of one account."""

    def __init__(self, settings: Settings, member: Member, writer: Writer, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._member = member
        self._writer = writer
        self._servers = [LocalServer(target, context) for target in member.targets]
        self._sessions = 0
        self._turn = 0
        self._wanted_edge: str | None = None
        # Not while a move is under way: what it comes to is awaited before another ssh is started.
        self._moved = asyncio.Event()
        self._moved.set()
        self._current: Session | None = None
        self._others: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        for server in self._servers:
            await server.start()
        wait = _AGAIN
        while True:
            await self._moved.wait()
            if self._current is None or self._current.over.is_set():
                self._current = await self._start(self._next_edge())
            session = await self._last_of(self._current)
            if session.is_live.is_set():
                wait = _AGAIN
            else:
                self._turn += 1
                wait = min(2 * wait, _AGAIN_AT_MOST)
            if self._wanted_edge is None:
                await asyncio.sleep(wait)

    async def _last_of(self, session: Session) -> Session:
        """Returns when *session* is over, or the one that a move has put in its place."""
        while True:
            await session.over.wait()
            await self._moved.wait()
            if self._current is None or self._current is session:
                return session
            session = self._current

    def _next_edge(self) -> str:
        edge, self._wanted_edge = self._wanted_edge, None
        return edge or self._member.edges[self._turn % len(self._member.edges)]

    async def move(self, edge: str) -> None:
        """A second ssh, with force; the first one is told, and ends by itself."""
        old = self._current
        self._moved.clear()
        self._tell("moves", self._sessions, edge)
        new = await self._start(edge, force=True)
        live = asyncio.ensure_future(new.is_live.wait())
        over = asyncio.ensure_future(new.over.wait())
        await asyncio.wait((live, over), return_when=asyncio.FIRST_COMPLETED)
        if live.done():
            self._current = new
        self._moved.set()
        live.cancel()
        over.cancel()
        if self._current is new:
            await self._see_off(old, _TOLD)

    async def vanish(self, edge: str, seconds: float) -> None:
        """The running ssh stands still, as a laptop that was shut; the loop starts another at *edge*."""
        old = self._current
        if old is None or old.over.is_set():
            return
        self._tell("vanishes", old.number, old.edge)
        old.process.send_signal(signal.SIGSTOP)
        self._wanted_edge = edge
        old.over.set()
        await asyncio.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            old.process.send_signal(signal.SIGCONT)
        await self._see_off(old, _WOKEN)

    async def _see_off(self, session: Session | None, seconds: float) -> None:
        if session is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(session.process.wait(), seconds)
            self.end(session)

    def obey(self, words: Sequence[str]) -> None:
        match words:
            case ("move", _, edge):
                self._spawn(self.move(edge))
            case ("vanish", _, edge, seconds):
                self._spawn(self.vanish(edge, float(seconds)))
            case ("go", _, edge):
                self._wanted_edge = edge
                if self._current is not None:
                    self.end(self._current)

    def _spawn(self, doing: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(doing)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    def end(self, session: Session) -> None:
        with contextlib.suppress(ProcessLookupError):
            session.process.kill()

    async def _start(self, edge: str, *, force: bool = False) -> Session:
        self._sessions += 1
        number = self._sessions
        self._tell("starts", number, edge, "force" if force else "")
        process = await asyncio.create_subprocess_exec(
            *self._words(edge, force), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )
        session = Session(number, edge, process)
        self._spawn(self._follow(session))
        return session

    def _words(self, edge: str, force: bool) -> list[str]:
        settings = self._settings
        options = {
            "BatchMode": "yes",
            "LogLevel": "ERROR",
            "ConnectTimeout": "5",
            "ServerAliveInterval": "2",
            "ServerAliveCountMax": "3",
            "ExitOnForwardFailure": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": settings.known_hosts,
            "GlobalKnownHostsFile": "none",
            "IdentityAgent": "none",
            "PreferredAuthentications": "none,password",
        }
        forwards = [
            f"-R{target.bind}:1:127.0.0.1:{server.port}"
            for target, server in zip(self._member.targets, self._servers, strict=True)
        ]
        user = settings.tokens[self._member.account] + ("+force" if force else "")
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return [
            "ssh",
            "-F",
            "none",
            "-T",
            "-p",
            str(settings.port),
            *words,
            *forwards,
            f"{user}@{settings.edges[edge]}",
        ]

    async def _follow(self, session: Session) -> None:
        """Read what it prints until it ends: it is live when the URLs of all targets are there."""
        assert session.process.stdout is not None
        missing: set[Target] = set(self._member.targets)
        async for line in session.process.stdout:
            text = line.decode("utf-8", "replace").strip()
            session.said = text or session.said
            missing -= {each for each in missing if each.shown() in text and "://" in text}
            if not missing and not session.is_live.is_set():
                session.is_live.set()
                self._tell("live", session.number, session.edge)
        await session.process.wait()
        session.over.set()
        self._tell("ended", session.number, session.edge, session.said)

    def _tell(self, what: str, session: int, edge: str, said: str = "") -> None:
        self._writer.write(
            ClientEvent(at=now(), account=self._member.account, what=what, session=session, edge=edge, said=said[:200])
        )


async def run(settings: Settings) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.certificate, settings.key)
    writer = Writer(Path(settings.history))
    clients = {
        member.account: Client(settings, member, writer, context)
        for member in make_population(settings.members, rivals=settings.rivals)
    }
    loops = [asyncio.ensure_future(client.run()) for client in clients.values()]
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    obeying = asyncio.ensure_future(_obey(orders, clients))
    done, _ = await asyncio.wait((obeying, *loops), return_when=asyncio.FIRST_COMPLETED)
    for each in done:
        each.result()
    # Nobody waits for anything any more: the group goes, and every ssh in it.
    os.killpg(0, signal.SIGKILL)


async def _obey(orders: asyncio.StreamReader, clients: dict[str, Client]) -> None:
    while line := (await orders.readline()).decode():
        words = line.split()
        clients[words[1]].obey(words)


def main() -> None:
    os.setpgid(0, 0)
    asyncio.run(run(Settings(**json.loads(Path(sys.argv[1]).read_text()))))


if __name__ == "__main__":
    main()

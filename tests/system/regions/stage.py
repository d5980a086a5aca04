"""
A world with its clients, and what is awaited of them: for tests and measurements that do one thing at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.service import PATIENCE
from tests.system.regions.bodies import Question, parse_answer
from tests.system.regions.exchange import open_connection
from tests.system.regions.files import DOMAIN, PUBLIC, Timing
from tests.system.regions.histories import ClientEvent, now, read_client_events
from tests.system.regions.world import World

_LOOK = 0.01


class Stage:
    """*world* runs, and its clients do."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._questions = 0

    def events(self, account: str, *what: str, after: float = 0.0) -> list[ClientEvent]:
        return [
            each
            for each in read_client_events(self.world.client_events)
            if each.account == account and each.what in what and each.at >= after
        ]

    async def event(self, account: str, what: str, *, after: float, edge: str | None = None) -> ClientEvent:
        """The first such event after the time *after*, when it is there."""
        bound = now() + PATIENCE
        while now() < bound:
            for each in self.events(account, what, after=after):
                if edge in (None, each.edge):
                    return each
            await asyncio.sleep(_LOOK)
        raise AssertionError(f"{account} was never {what}: {self.events(account, 'ended', after=after)}")

    async def all_live(self) -> None:
        for account in self.world.tokens:
            await self.event(account, "live", after=0.0)

    async def move(self, account: str, edge: str) -> float:
        """With force; the seconds from the start of ssh until its URLs are printed."""
        began = now()
        self.world.programs["clients"].tell(f"move {account} {edge}")
        live = await self.event(account, "live", after=began, edge=edge)
        (starts,) = [each for each in self.events(account, "starts", after=began) if each.session == live.session]
        return live.at - starts.at

    async def visit(self, edge: str, name: str) -> bool:
        """A visitor of ours at *edge*, whatever DNS says: is it answered by the name's tunnel?"""
        self._questions += 1
        question = Question(nonce=f"stage-{self._questions}", up=0, down=300)
        try:
            async with asyncio.timeout(PATIENCE):
                connection = await open_connection(self.world.sites[edge].address, PUBLIC)
                try:
                    outcome = await connection.http(f"{name}.{DOMAIN}", question.line(), b"", keep=False)
                finally:
                    connection.close()
        except OSError:
            return False
        answer = parse_answer(question, outcome.data or b"")
        return answer is not None and answer.name == name


@asynccontextmanager
async def stage(
    folder: Path, *, cables: bool, members: int = 3, far: float = 1.0, timing: Timing | None = None
) -> AsyncIterator[Stage]:
    """A world without rivals; when it is left, nothing of it runs any more."""
    world = World(folder, cables=cables, members=members, rivals=0, far=far, timing=timing)
    try:
        await world.start()
        world.start_clients()
        made = Stage(world)
        await made.all_live()
        yield made
    finally:
        world.stop()


def quantile(values: Iterable[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

"""
Does to a `World` what a schedule says, mends it when that is over, and starts again what has ended by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable

from tests.system.regions.faults import Cut, Fault, Freeze, Kill, Move, Restart, Vanish
from tests.system.regions.processes import Program
from tests.system.regions.world import World

# Seconds: between two looks at what has ended; until a program that was asked to stop is killed: an edge that drains
# may take 20 more than its clients have.
_LOOK = 0.5
_STOP = 25.0


class Breakage:
    """*exits* are the programs that ended without being told to, with their status."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._doing: set[asyncio.Task[None]] = set()
        self._restarting: set[str] = set()
        self.exits: list[str] = []
        self.stuck: list[str] = []

    async def apply(self, faults: Iterable[Fault]) -> None:
        """Each at its time from now; returns when the last is over and everything is whole again."""
        loop = asyncio.get_running_loop()
        first = loop.time()
        for fault in faults:
            await asyncio.sleep(first + fault.at - loop.time())
            self._spawn(self._apply(fault))
        if self._doing:
            for each in (await asyncio.wait(self._doing))[0]:
                each.result()

    def _spawn(self, doing: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(doing)
        self._doing.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._doing.discard(task)

    async def _apply(self, fault: Fault) -> None:
        programs = self._world.programs
        if isinstance(fault, (Kill, Freeze, Restart)) and fault.program in self._restarting:
            return  # it takes longer than the schedule thinks
        match fault:
            case Kill():
                programs[fault.program].kill()
                await asyncio.sleep(fault.seconds)
                programs[fault.program].launch()
            case Freeze():
                programs[fault.program].freeze()
                await asyncio.sleep(fault.seconds)
                programs[fault.program].thaw()
            case Restart():
                self._restarting.add(fault.program)
                await self._restart(programs[fault.program])
                self._restarting.discard(fault.program)
            case Cut():
                await self._cut(fault)
            case Move():
                programs["clients"].tell(f"move {fault.account} {fault.edge}")
            case Vanish():
                programs["clients"].tell(f"vanish {fault.account} {fault.edge} {fault.seconds}")

    async def _restart(self, program: Program) -> None:
        program.ask_to_stop()
        bound = asyncio.get_running_loop().time() + _STOP
        while program.runs and asyncio.get_running_loop().time() < bound:
            await asyncio.sleep(0.05)
        if program.runs:
            self.stuck.append(f"{program.name} did not end within {_STOP:g} s of SIGTERM")
        program.kill()
        program.launch()

    async def _cut(self, fault: Cut) -> None:
        ways = [(fault.sender, fault.receiver), *([(fault.receiver, fault.sender)] if fault.both else [])]
        for way in ways:
            self._world.cut(*way)
        await asyncio.sleep(fault.seconds)
        for way in ways:
            self._world.heal(*way)

    async def supervise(self) -> None:
        """As systemd does with ``Restart=always``; until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            for program in self._world.programs.values():
                if program.wanted and not program.runs:
                    self.exits.append(f"{program.name} ended by itself, status {program.status}")
                    program.launch()

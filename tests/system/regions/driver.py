"""
Runs a world through rounds: faults by the seed for a while, then everything whole, time to settle, and a look.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from tests.system.regions import checker
from tests.system.regions.breakage import Breakage
from tests.system.regions.faults import Breakable, make_schedule, names_of_kinds
from tests.system.regions.histories import Grant, Record, now, read_client_events, read_visits
from tests.system.regions.ledger import read_grants, read_records
from tests.system.regions.population import EDGES, Scheme, Target, make_population
from tests.system.regions.report import Report, Round
from tests.system.regions.world import HUB, WITH_POWERDNS, World

# Seconds between two looks at whether all is as it should be.
_LOOK = 0.5
# Seconds beyond a client's silence until its edge has given it up, and said so.
_TOLD_LATE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """*faults* and *calm* are the seconds of a round, *settle* those until all must be as it should again."""

    seed: int
    rounds: int
    rate: float
    faults: float = 30.0
    calm: float = 9.0
    settle: float = 30.0


class Driver:
    def __init__(self, world: World, plan: Plan) -> None:
        self._world = world
        self._plan = plan
        self._breakage = Breakage(world)
        self._report = Report(seed=plan.seed, cables=world.cables)
        self._population = make_population(world.members, rivals=world.rivals)

    async def run(self) -> Report:
        await self._world.start()
        self._world.start_clients()
        await self._until_agreed(0.0, self._plan.settle)
        visitors = self._world.start_visitors(rate=self._plan.rate, seed=self._plan.seed)
        supervising = asyncio.ensure_future(self._breakage.supervise())
        for number in range(self._plan.rounds):
            await self._round(number)
        supervising.cancel()
        visitors.finish()
        self._world.programs["clients"].finish()
        self._look()
        return self._report

    async def _round(self, number: int) -> None:
        broken = now()
        # Each round has a seed of its own, so that a long run does not repeat itself.
        schedule = make_schedule(self._plan.seed * 1000 + number, self._plan.faults, self._breakable())
        await self._breakage.apply(schedule)
        whole = now()
        # A link that was cut just now is given up a moment later: by then all may seem well.
        agreed, wrong = await self._until_agreed(self._world.timing.silence + _TOLD_LATE, self._plan.settle)
        self._report.failures += [f"round {number + 1}: {each}" for each in wrong]
        before = await self._zone_violations()
        await asyncio.sleep(self._plan.calm)
        # What is being changed at this very moment is not yet wrong: what stays is.
        self._report.violations += [each for each in await self._zone_violations() if each in before]
        self._report.rounds.append(Round(broken=broken, whole=whole, agreed=agreed, over=now()))
        for name, count in names_of_kinds(schedule).items():
            self._report.faults[name] = self._report.faults.get(name, 0) + count

    def _breakable(self) -> Breakable:
        names = ("edge-", "core-", "gate-", "powerdns-", "postgres")
        links = [(HUB, edge) for edge in EDGES]
        links += [("us", "eu"), ("us", "ap"), ("eu", "ap")]
        links += [(who, edge) for who in ("clients", "visitors") for edge in EDGES]
        return Breakable(
            programs=tuple(name for name in self._world.programs if name.startswith(names)),
            links=tuple(links) if self._world.cables else (),
            accounts=tuple(member.account for member in self._population),
            edges=EDGES,
        )

    # -- is all as it should be? --------------------------------------------------------------------------------------

    async def _until_agreed(self, least: float, most: float) -> tuple[float | None, list[str]]:
        """
        Look for *least* seconds and *most* at the most, until ledger, zone and clients are as they should be. Since
        when they are; or what is wrong where they are not in time.
        """
        began, since = now(), None
        while True:
            wrong = await asyncio.to_thread(self._wrong)
            since = None if wrong else since or now()
            if (since is not None and now() >= began + least) or now() >= began + most:
                return since, wrong
            await asyncio.sleep(_LOOK)

    def _wrong(self) -> list[str]:
        try:
            grants, records = self._grants(), self._records()
        except (OSError, psycopg2.Error) as error:
            return [f"ledger or zone cannot be read: {error}"]
        live = {grant.name if grant.port is None else str(grant.port) for grant in grants if grant.live}
        wanted = [target for target in self._targets() if not target.contested]
        wrong = [f"nobody has {target.name}" for target in wanted if _key(target) not in live]
        wrong += [each.what for each in checker.check_zone(records, grants)]
        return wrong + checker.missing_records(records, grants, WITH_POWERDNS)

    async def _zone_violations(self) -> list[checker.Violation]:
        try:
            records, grants = await asyncio.to_thread(self._records), await asyncio.to_thread(self._grants)
        except (OSError, psycopg2.Error):
            return []  # it has been noted already that they cannot be read
        return list(checker.check_zone(records, grants))

    def _grants(self) -> tuple[Grant, ...]:
        return read_grants(self._world.database)

    def _records(self) -> tuple[Record, ...]:
        gates = {name: self._world.sites[name].address for name in WITH_POWERDNS}
        return read_records(gates, self._world.certificate.file, EDGES)

    def _targets(self) -> list[Target]:
        return [target for member in self._population for target in member.targets]

    # -- afterwards ---------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        report = self._report
        report.grants = self._grants()
        report.visits = list(read_visits(self._world.visits))
        report.events = list(read_client_events(self._world.client_events))
        accounts = {target.name: target.account for target in self._targets() if not target.contested}
        ports = {target.name: target.port for target in self._targets() if target.scheme is Scheme.TCP}
        report.violations += checker.check_owners(report.grants)
        report.violations += checker.check_visits(report.visits, report.grants, accounts, ports)
        report.failures += [f"a visit failed in calm: {each}" for each in report.unexcused()]
        report.failures += self._breakage.exits + self._breakage.stuck + self._world.complaints()


def _key(target: Target) -> str:
    return str(target.port) if target.scheme is Scheme.TCP else target.name


async def run(folder: Path, plan: Plan, *, cables: bool) -> Report:
    world = World(folder, cables=cables)
    try:
        return await Driver(world, plan).run()
    finally:
        world.stop()

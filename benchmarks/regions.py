"""
What visitors and clients notice when tunnels move, clients vanish, edges die and the core is away.

Three regions with two cores in network namespaces, as ``tests/system/regions`` builds them. Times of takeovers are
measured twice: with the regions next to each other, and with the distances of the earth between them.

    python -m benchmarks.regions [--only NAME ...] [--times 20]
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from itertools import cycle, islice
from pathlib import Path

from tests.system.regions import namespaces
from tests.system.regions.files import Timing
from tests.system.regions.histories import now, read_visits
from tests.system.regions.ledger import read_grants
from tests.system.regions.move import move
from tests.system.regions.population import EDGES
from tests.system.regions.stage import Stage, quantile, stage

ACCOUNT, NAME, OTHER = "owner0", "web0", "owner1"
DISTANCES = ((0.0, "side by side"), (1.0, "across the earth"))
# As an operator has it, but for the lease: what is measured must not come of that.
EARNEST = Timing(lease=30.0, zone_interval=60.0, report_interval=60.0, silence=15.0, ttl=10)
# Seconds in which a closed tunnel's edge, its terminal and the zone come to rest.
REST = 3.0
ABSENCE = 60.0
RATE = 50.0


def show(what: str, value: str) -> None:
    print(f"{what:88} {value}", flush=True)


def milliseconds(values: list[float]) -> str:
    return (
        f"p50 {quantile(values, 0.5) * 1000:5.0f} ms   p99 {quantile(values, 0.99) * 1000:5.0f} ms"
        f"   worst {max(values) * 1000:5.0f} ms"
    )


def fresh() -> Path:
    """A folder that goes when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="pinggy-regions-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


async def moves(times: int) -> None:
    """Zero-loss move."""
    moved = await move(fresh(), times, cables=True)
    show(f"{times} moves us -> eu -> ap, TTL 60 s, {len(moved.visits)} requests at 50/s", f"{len(moved.failed)} failed")
    for line in moved.lines()[2:]:
        print(f"    {line}")


async def takeovers(times: int) -> None:
    """Takeover with force, both edges up."""
    for far, how in DISTANCES:
        async with stage(fresh(), cables=True, members=1, far=far, timing=EARNEST) as scene:
            await warm(scene, ACCOUNT, *EDGES)
            took = []
            for edge in islice(cycle(EDGES), 1, times + 1):
                took.append(await scene.move(ACCOUNT, edge))
                await asyncio.sleep(1.0)
            show(f"{times} takeovers with force, {how}: ssh starts -> URL", milliseconds(took))


async def warm(scene: Stage, account: str, *edges: str) -> None:
    """An edge that serves has connections to its core and the zone's gates: let *account* be at each once."""
    for edge in edges:
        await scene.move(account, edge)
        await asyncio.sleep(1.0)


async def vanished(times: int) -> None:
    """A client that vanished without FIN."""
    for far, how in DISTANCES:
        async with stage(fresh(), cables=True, members=1, far=far, timing=EARNEST) as scene:
            await warm(scene, ACCOUNT, *EDGES)
            held = [await _claim(scene, edge, _stand_still) for edge in islice(cycle(EDGES), times)]
            show_claims(scene, held, f"{times} clients that stand still (SIGSTOP), {how}")
            lost = [await _claim(scene, edge, _lose) for edge in islice(cycle(EDGES), times, times + times // 4 + 1)]
            show_claims(scene, lost, f"{len(lost)} clients whose link is cut, {how}")


def show_claims(scene: Stage, claims: list[tuple[float, float]], what: str) -> None:
    """*claims* are times of the start of ssh and of its URL; the ledger knows when the name was given."""
    given = sorted(grant.started for grant in read_grants(scene.world.database) if grant.name == NAME)
    show(f"{what}: a new claim starts -> its URL", milliseconds([live - starts for starts, live in claims]))
    won = [next(each for each in reversed(given) if each <= live) - starts for starts, live in claims]
    show("  of it until the ledger gives it the name", milliseconds(won))


async def _claim(scene: Stage, edge: str, vanish: Callable[[Stage, str, str], Awaitable[None]]) -> tuple[float, float]:
    """The holder at one edge vanishes; a claim without force starts at *edge*."""
    held = scene.events(ACCOUNT, "live")[-1].edge
    began = now()
    await vanish(scene, held, edge)
    live = await scene.event(ACCOUNT, "live", after=began)
    starts = await scene.event(ACCOUNT, "starts", after=began)
    for site in EDGES:
        scene.world.heal("clients", site)
        scene.world.heal(site, "clients")
    await asyncio.sleep(REST)
    return starts.at, live.at


async def _stand_still(scene: Stage, _: str, edge: str) -> None:
    scene.world.programs["clients"].tell(f"vanish {ACCOUNT} {edge} 20")


async def _lose(scene: Stage, held: str, edge: str) -> None:
    scene.world.cut("clients", held)
    scene.world.cut(held, "clients")
    scene.world.programs["clients"].tell(f"go {ACCOUNT} {edge}")


async def edge_killed(times: int) -> None:
    """An edge dies with kill -9 and its client reconnects to another."""
    for far, how in DISTANCES:
        async with stage(fresh(), cables=True, members=2, far=far, timing=EARNEST) as scene:
            await warm(scene, OTHER, *EDGES)
            took = [await _kill_edge(scene) for _ in range(max(3, times // 2))]
            show(f"{len(took)} edges killed (-9), {how}: ssh starts at another -> the name answers", milliseconds(took))


async def _kill_edge(scene: Stage) -> float:
    held = scene.events(ACCOUNT, "live")[-1].edge
    edge = EDGES[(EDGES.index(held) + 1) % len(EDGES)]
    began = now()
    scene.world.programs[f"edge-{held}"].kill()
    scene.world.programs["clients"].tell(f"go {ACCOUNT} {edge}")
    starts = await scene.event(ACCOUNT, "starts", after=began, edge=edge)
    while not await scene.visit(edge, NAME):
        await asyncio.sleep(0.02)
    took = now() - starts.at
    await scene.event(ACCOUNT, "live", after=began)
    await scene.world.programs[f"edge-{held}"].start()
    await asyncio.sleep(REST)
    await warm(scene, OTHER, held)
    return took


async def absence(_: int) -> None:
    """Core and database away for a minute."""
    async with stage(fresh(), cables=True, members=3, far=1.0, timing=EARNEST) as scene:
        world = scene.world
        visitors = world.start_visitors(rate=RATE, seed=1)
        await asyncio.sleep(REST)
        for name in ("core-1", "core-2", "postgres"):
            world.programs[name].kill()
        await asyncio.sleep(ABSENCE)
        for name in ("postgres", "core-1", "core-2"):
            world.programs[name].launch()
        await asyncio.sleep(4 * REST)
        visitors.finish()
        visits = list(read_visits(world.visits))
        failed = Counter(f"{each.kind} {each.outcome}" for each in visits if each.is_failure)
        show(f"cores and database away for {ABSENCE:g} s, {len(visits)} requests", f"{failed.total()} failed")
        if failed:
            print(f"    {dict(failed)}")


async def relayed(times: int) -> None:
    """What the way over another edge costs."""
    async with stage(fresh(), cables=True, members=1, far=0.0, timing=EARNEST) as scene:
        held = scene.events(ACCOUNT, "live")[-1].edge
        other = EDGES[(EDGES.index(held) + 1) % len(EDGES)]
        took: dict[str, list[float]] = {held: [], other: []}
        for number in range(50 * times):
            for edge in (held, other):
                began = now()
                answered = await scene.visit(edge, NAME)
                # The first ones find out where the name is, and connect.
                if number >= times:
                    assert answered, f"not answered at {edge}"
                    took[edge].append(now() - began)
    for edge, how in ((held, "at its own edge"), (other, "relayed")):
        values = [each * 1000 for each in took[edge]]
        show(
            f"{len(values)} requests, a connection each, {how}",
            f"p50 {quantile(values, 0.5):5.1f} ms   p99 {quantile(values, 0.99):5.1f} ms",
        )
    added = (quantile(took[other], 0.99) - quantile(took[held], 0.99)) * 1000
    show("  added by the relay, p99 against p99, no distance between the edges", f"{added:.1f} ms")


ROWS: dict[str, Callable[[int], Coroutine[None, None, None]]] = {
    "moves": moves,
    "takeovers": takeovers,
    "vanished": vanished,
    "edge-killed": edge_killed,
    "absence": absence,
    "relayed": relayed,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=ROWS, action="append")
    parser.add_argument("--times", type=int, default=20)
    arguments = parser.parse_args()
    for name in arguments.only or ROWS:
        if not namespaces.is_inside():
            way = namespaces.way_in()
            if way is None:
                print("This needs network namespaces: run it as root.")
                return 1
            # Each row has namespaces of its own: a world fills the ones it is in.
            namespaces.run_inside(way, "benchmarks.regions", ["--only", name, "--times", str(arguments.times)])
        else:
            asyncio.run(ROWS[name](arguments.times))
    return 0


if __name__ == "__main__":
    sys.exit(main())

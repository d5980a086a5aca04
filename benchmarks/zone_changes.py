"""
How many changes of the zone are written in a second, through one zone gate?

Starts a real PowerDNS with 20,000 names and a gate (``twistd pinggy-zone``, with TLS) before it, then publishes single
names through `PowerDnsZone`, 64 at a time; then one alone after another. The proofs are signed before.

    python -m benchmarks.zone_changes [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred, gatherResults

from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.dns.powerdns.zone import PowerDnsZone
from pinggy.dns.zone import NameRecord
from tests.support.gates import GateProcess, signed
from tests.support.powerdns import PowerDns, rrset

NAMES = 20_000
CHANGES = 5_000
IN_FLIGHT = 64
ALONE = 300
DOMAIN = "a.example"


def fill(powerdns: PowerDns) -> None:
    powerdns.make_zone()
    names = [f"standing-{number}.{DOMAIN}." for number in range(NAMES)]
    for start in range(0, NAMES, 500):
        powerdns.write([rrset(name, "CNAME", f"eu.{DOMAIN}.") for name in names[start : start + 500]])


def records(prefix: str, count: int) -> list[NameRecord]:
    return [
        signed(NameRecord(name=f"{prefix}-{number}.{DOMAIN}", target=f"eu.{DOMAIN}", epoch=1))
        for number in range(count)
    ]


async def concurrently(zone: PowerDnsZone, waiting: Iterator[NameRecord]) -> list[float]:
    """Publish what is *waiting*, `IN_FLIGHT` at a time; the seconds of each."""
    seconds: list[float] = []

    async def one_after_another() -> None:
        for record in waiting:
            began = time.perf_counter()
            await zone.publish([record])
            seconds.append(time.perf_counter() - began)

    await gatherResults([Deferred.fromCoroutine(one_after_another()) for _ in range(IN_FLIGHT)])
    return seconds


async def alone(zone: PowerDnsZone, waiting: Sequence[NameRecord], confirm: bool) -> list[float]:
    seconds: list[float] = []
    for record in waiting:
        began = time.perf_counter()
        await zone.publish([record])
        if confirm:
            await zone.confirm(record)
        seconds.append(time.perf_counter() - began)
    return seconds


def line(what: str, seconds: Sequence[float], rate: float | None = None) -> None:
    cuts = statistics.quantiles(seconds, n=100)
    shown = "" if rate is None else f"{rate:8.0f}/s"
    print(f"{what:<44}{shown:>12}   p50 {cuts[49] * 1000:6.1f} ms   p99 {cuts[98] * 1000:6.1f} ms")


async def measure(reactor: Any, server: PowerDnsServer, what: str, gate: GateProcess | None, profile: bool) -> None:
    zone = PowerDnsZone(reactor, DOMAIN, [server])
    prefix = "gate" if server.gate else "straight"
    await concurrently(zone, iter(records(f"{prefix}-warm", 200)))
    waiting = records(prefix, CHANGES)
    gate_before = gate.cpu_seconds() if gate else 0.0
    before = resource.getrusage(resource.RUSAGE_SELF)
    with profiled(profile):
        began = time.perf_counter()
        seconds = await concurrently(zone, iter(waiting))
        took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    line(f"{what}, {IN_FLIGHT} in flight", seconds, CHANGES / took)
    client = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    shares = f"client {client / CHANGES * 1e6:.0f} us"
    if gate:
        shares += f", gate {(gate.cpu_seconds() - gate_before) / CHANGES * 1e6:.0f} us"
    print(f"    CPU of a change: {shares}")
    line(f"{what}, one alone", await alone(zone, records(f"{prefix}-alone", ALONE), confirm=False))
    line(f"{what}, one alone and asked for", await alone(zone, records(f"{prefix}-asked", ALONE), confirm=True))
    await zone.close()


@contextmanager
def profiled(wanted: bool) -> Iterator[None]:
    """The client's side, to stdout."""
    if not wanted:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    yield
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--profile", action="store_true", help="show what costs the client and the gate most")
    profile = parser.parse_args().profile
    powerdns = PowerDns(DOMAIN)
    powerdns.start()
    with tempfile.TemporaryDirectory() as folder:
        gate = GateProcess(powerdns, Path(folder), profile=Path(folder) / "gate.profile" if profile else None)
        try:
            fill(powerdns)
            gate.start()
            task.react(lambda reactor: Deferred.fromCoroutine(_both(reactor, powerdns, gate, profile)))
        except SystemExit as end:
            if end.code:
                raise
        finally:
            gate.stop()
            powerdns.stop()
        if profile:
            pstats.Stats(str(Path(folder) / "gate.profile")).sort_stats("tottime").print_stats(30)


async def _both(reactor: Any, powerdns: PowerDns, gate: GateProcess, profile: bool) -> None:
    print(f"{NAMES} names in the zone, {CHANGES} single-name changes")
    await measure(reactor, gate.server, "through a gate", gate, profile)
    await measure(reactor, powerdns.server, "PowerDNS itself", None, False)


if __name__ == "__main__":
    main()

"""
Many requests: wrk for HTTP/1.1 as it is compared with raw tunnels, h2load for HTTP/2 and what that is compared with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.leg.loads import Answers, Failed, answers, said_by
from benchmarks.web.ways import Door


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """*answers*, and the microseconds of CPU that the server spent on each."""

    answers: Answers
    cpu: float


def by_wrk(door: Door, *, keep_alive: bool, seconds: float) -> Served:
    """32 connections."""
    before = door.spent()
    got = answers(door.port, keep_alive=keep_alive, seconds=seconds, host=door.authority)
    return Served(answers=got, cpu=(door.spent() - before) / (got.rate * max(1, round(seconds))) * 1e6)


def by_h2load(door: Door, log: Path, *, protocol: str, connections: int, streams: int, seconds: float) -> Served:
    """
    So many *streams* at once on each of the *connections*. *protocol* is what ALPN must settle: ``h2`` or
    ``http/1.1``. h2load says no percentiles: they are taken from its *log*.
    """
    log.unlink(missing_ok=True)
    before = door.spent()
    words = [
        *("h2load", "-t1", f"-c{connections}", f"-m{streams}", "-D", f"{max(1, round(seconds))}"),
        *(f"--npn-list={protocol}", f"--connect-to=127.0.0.1:{door.port}", f"--log-file={log}"),
        f"{door.scheme}://{door.authority}/",
    ]
    said = said_by(words, seconds)
    spent = door.spent() - before
    settled = re.search(r"Application protocol: (\S+)", said)
    if settled is None or settled[1] != protocol:
        raise Failed(f"the edge does not speak {protocol}" + (f", but {settled[1]}" if settled else ""))
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
    if codes is None or codes[1] == "0" or any(int(code) for code in codes.groups()[1:]):
        raise Failed("no answer came" if codes is None or codes[1] == "0" else "an answer was not 200")
    rate = re.search(r"finished in \S+, ([0-9.]+) req/s", said)
    assert rate is not None
    took = sorted(int(line.split("\t")[2]) / 1000 for line in log.read_text().splitlines())
    return Served(
        answers=Answers(rate=float(rate[1]), p50=at(took, 0.5), p99=at(took, 0.99)), cpu=spent / int(codes[1]) * 1e6
    )


def at(ordered: list[float], part: float) -> float:
    """The value below which that *part* of them is."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]

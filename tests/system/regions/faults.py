"""
What breaks, and when: a seed makes a schedule, the same one each time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """``kill -9``, and started again *seconds* later."""

    at: float
    program: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """SIGSTOP, and SIGCONT *seconds* later."""

    at: float
    program: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """SIGTERM, and started again when it has ended."""

    at: float
    program: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What *sender* sends to *receiver* is lost for *seconds*; with *both*, the other way too."""

    at: float
    sender: str
    receiver: str
    both: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The client of *account* starts a second ssh at *edge*, with force."""

    at: float
    account: str
    edge: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanish:
    """The ssh of *account* stands still for *seconds*; another is started at *edge*, without force."""

    at: float
    account: str
    edge: str
    seconds: float


Fault = Kill | Freeze | Restart | Cut | Move | Vanish


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakable:
    """What there is to break. *restarts* are programs whose SIGTERM is to be harmless; without *links* none is cut."""

    programs: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    accounts: tuple[str, ...]
    edges: tuple[str, ...]


# How often one kind comes, next to the others.
_WEIGHTS = {Kill: 4, Freeze: 3, Restart: 4, Cut: 4, Move: 5, Vanish: 3}
# Seconds: between two faults, and that one lasts.
_GAP = 2.0
_SHORTEST, _LONGEST = 0.5, 9.0
# Seconds that daemons and clients need to do what is asked of them: none of it is under way when all is to be whole.
_AFTERMATH: dict[type[Fault], float] = {Move: 9.0, Restart: 16.0, Vanish: 7.0}


def make_schedule(seed: int, seconds: float, breakable: Breakable) -> tuple[Fault, ...]:
    """
    Faults that begin and end within *seconds*, in the order of their beginning. What is broken is not broken once more
    before it is whole again.
    """
    return tuple(_faults(random.Random(seed), seconds, breakable))


def _faults(chance: random.Random, seconds: float, breakable: Breakable) -> Iterator[Fault]:
    kinds = [kind for kind in _WEIGHTS if kind is not Cut or breakable.links]
    weights = [_WEIGHTS[kind] for kind in kinds]
    busy: dict[object, float] = {}
    at = 0.0
    while (at := at + chance.expovariate(1 / _GAP)) < seconds - _SHORTEST:
        (kind,) = chance.choices(kinds, weights)
        fault = _fault(kind, chance, at, min(chance.uniform(_SHORTEST, _LONGEST), seconds - at), breakable)
        if at + fault.seconds + _AFTERMATH.get(kind, 0.0) > seconds:
            continue
        broken = what_is_broken(fault)
        if busy.get(broken, 0.0) <= at:
            busy[broken] = at + fault.seconds + _AFTERMATH.get(kind, 0.0)
            yield fault


def _fault(kind: type[Fault], chance: random.Random, at: float, lasts: float, breakable: Breakable) -> Fault:
    if kind is Cut:
        sender, receiver = chance.sample(chance.choice(breakable.links), 2)
        return Cut(at=at, sender=sender, receiver=receiver, both=chance.random() < 0.5, seconds=lasts)
    if kind is Move:
        return Move(at=at, account=chance.choice(breakable.accounts), edge=chance.choice(breakable.edges))
    if kind is Vanish:
        account, edge = chance.choice(breakable.accounts), chance.choice(breakable.edges)
        return Vanish(at=at, account=account, edge=edge, seconds=lasts)
    program = chance.choice(breakable.programs)
    if kind is Restart:
        return Restart(at=at, program=program)
    return (
        Kill(at=at, program=program, seconds=lasts) if kind is Kill else Freeze(at=at, program=program, seconds=lasts)
    )


def what_is_broken(fault: Fault) -> object:
    """Two faults at once want different ones."""
    match fault:
        case Cut():
            return frozenset((fault.sender, fault.receiver))
        case Move() | Vanish():
            return ("account", fault.account)
        case Kill() | Freeze() | Restart():
            return fault.program


def names_of_kinds(faults: Sequence[Fault]) -> dict[str, int]:
    """How many there are of each kind."""
    counts: dict[str, int] = {}
    for fault in faults:
        name = type(fault).__name__.lower()
        if isinstance(fault, Cut):
            name += " both ways" if fault.both else " one way"
        counts[name] = counts.get(name, 0) + 1
    return counts

"""
What the core has found when the operator asks whether all is well, or about one tunnel.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """*NOTE* is neither: worth knowing, or not to be looked at here."""

    WELL = "well"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    *check* is the word for what was looked at, for programs, and *subject* which one (an edge, a server, a name; empty
    where there is one only). *text* is a sentence, *advice* another one, of what to do; empty where nothing is.
    """

    check: str
    state: State
    text: str
    subject: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Findings about one part, whose *title* is shown."""

    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where visitors of *host* come to: TCP *port*, None where it is that of https; *addresses* are the edge's."""

    host: str
    addresses: tuple[str, ...]
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """*well*: no finding is wrong. *addresses* are to be tried from where the operator is; only of a tunnel."""

    sections: tuple[Section, ...]
    well: bool
    addresses: tuple[Address, ...] = ()

"""
Findings: each a word for programs, a sentence for people, and where something is wrong another one of what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

from pinggy.wire.doctor import Address, Diagnosis, Finding, Section, State


def well(check: str, text: str, subject: str = "") -> Finding:
    return Finding(check=check, state=State.WELL, text=text, subject=subject)


def note(check: str, text: str, subject: str = "", advice: str = "") -> Finding:
    return Finding(check=check, state=State.NOTE, text=text, subject=subject, advice=advice)


def wrong(check: str, text: str, subject: str = "", advice: str = "") -> Finding:
    return Finding(check=check, state=State.WRONG, text=text, subject=subject, advice=advice)


def diagnosis(sections: Sequence[Section], addresses: Sequence[Address] = ()) -> Diagnosis:
    """Those of *sections* that have something to say."""
    findings = [finding for section in sections for finding in section.findings]
    return Diagnosis(
        sections=tuple(section for section in sections if section.findings),
        well=all(finding.state is not State.WRONG for finding in findings),
        addresses=tuple(addresses),
    )


def section(title: str, findings: Sequence[Finding]) -> Section:
    return Section(title=title, findings=tuple(findings))


def span(seconds: float) -> str:
    """``12 ms``, ``4 s``, ``3 min``, ``5 h``, ``12 days``."""
    for unit, size, most in (("ms", 0.001, 1.0), ("s", 1.0, 120.0), ("min", 60.0, 7200.0), ("h", 3600.0, 172_800.0)):
        if seconds < most:
            return f"{max(seconds, 0.0) / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

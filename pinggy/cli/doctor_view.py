"""
A diagnosis in lines for a terminal: pure, a value in and texts out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pinggy.cli.tables import clean
from pinggy.wire.doctor import Diagnosis, Finding, State

_WORDS = {State.WELL: "ok", State.NOTE: "note", State.WRONG: "WRONG"}
_MARGIN = 2
_INDENT = " " * (_MARGIN + max(map(len, _WORDS.values())) + 2)


def lines(diagnosis: Diagnosis, width: int) -> list[str]:
    """Each at most *width* columns, but for what has no space to be broken at."""
    return list(_lines(diagnosis, width))


def _lines(diagnosis: Diagnosis, width: int) -> Iterator[str]:
    for number, section in enumerate(diagnosis.sections):
        if number:
            yield ""
        yield clean(section.title)
        for finding in section.findings:
            yield from _finding(finding, width)


def _finding(finding: Finding, width: int) -> Iterator[str]:
    word = f"{' ' * _MARGIN}{_WORDS[finding.state]}".ljust(len(_INDENT))
    yield from _wrapped(finding.text, word, width)
    if finding.advice:
        yield from _wrapped(finding.advice, f"{_INDENT}> ", width)


def _wrapped(text: str, first: str, width: int) -> list[str]:
    return textwrap.wrap(
        clean(text),
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )

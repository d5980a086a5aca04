"""
In which of three media an answer of our own is read best, by the Accept of a request (RFC 9110 12.5.1).
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

from pinggy.http.head import Headers


class Medium(Enum):
    """The value is the Content-Type."""

    PAGE = "text/html; charset=utf-8"
    JSON = "application/json"
    LINE = "text/plain; charset=utf-8"


# Nobody's is half as long; to read one that fills a whole head costs more than all the rest of the request.
LONGEST = 1024
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
# One element of the list, up to its comma; a comma within quotes is none. Quotes that are not closed last to the end:
# to look for the other one more than once would take a stranger's length squared.
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.?)*+(?:"|\Z))+', re.DOTALL)
_RANGE = re.compile(rf"({_WORD})/({_WORD})(.*)", re.DOTALL)
_PARAMETER = re.compile(rf"[ \t]*;[ \t]*(?:({_WORD})=({_WORD}|{_QUOTED}))?", re.DOTALL)
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")

# How a range names a type: by all, by half of it, by its name.
_ANYTHING, _KIND, _NAMED = range(3)
# Of those named alike, the first: who names JSON is a program, who names a page shows one. Of those that no one has
# named, the line.
_IF_NAMED = (Medium.JSON, Medium.PAGE, Medium.LINE)
_IF_NOT = (Medium.LINE, Medium.JSON, Medium.PAGE)


def medium_for(headers: Headers) -> Medium:
    """What a request with *headers* is answered in."""
    values = [value for name, value in headers if name.lower() == "accept"]
    accept = ", ".join(values)
    return _preferred(accept) if 0 < len(accept) <= LONGEST else Medium.LINE


@lru_cache(maxsize=64)
def _preferred(accept: str) -> Medium:
    """
    The medium with the highest weight; of equals, what is named before what is only not excluded. Where nothing of ours
    is accepted a line does no harm (RFC 9110 12.4.1: Accept may be disregarded).
    """
    found = dict.fromkeys(Medium, (_ANYTHING - 1, 0.0))
    for element in _ELEMENT.findall(accept):
        read = _read(element.strip(" \t"))
        if read is None:
            continue
        kind, subtype, weight = read
        for medium in Medium:
            how = _names(kind, subtype, medium)
            # The most specific range counts; of two as specific, the kinder one.
            if how is not None:
                found[medium] = max(found[medium], (how, weight))
    best = max((weight, how) for how, weight in found.values())
    if best[0] == 0:
        return Medium.LINE
    order = _IF_NAMED if best[1] == _NAMED else _IF_NOT
    return next(medium for medium in order if found[medium] == (best[1], best[0]))


def _read(element: str) -> tuple[str, str, float] | None:
    """Type, subtype and weight of one range; None for what is none. Parameters but for the weight do not count."""
    range_ = _RANGE.fullmatch(element)
    if range_ is None:
        return None
    kind, subtype, rest = range_[1].lower(), range_[2].lower(), range_[3]
    weight = 1.0
    at = 0
    while at < len(rest):
        parameter = _PARAMETER.match(rest, at)
        if parameter is None:
            return None
        at = parameter.end()
        if (parameter[1] or "").lower() == "q":
            if not _WEIGHT.fullmatch(parameter[2]):
                return None
            weight = float(parameter[2])
    return kind, subtype, weight


def _names(kind: str, subtype: str, medium: Medium) -> int | None:
    """How the range *kind*/*subtype* names *medium*, if it does."""
    own_kind, _, own = medium.value.partition(";")[0].partition("/")
    if medium is Medium.JSON and subtype.endswith("+json"):
        return _NAMED
    if kind == "*":
        return _ANYTHING if subtype == "*" else None
    if kind != own_kind:
        return None
    if subtype == "*":
        return _KIND
    return _NAMED if subtype == own else None

"""
Every code that a refusal can have, and the refusal that each names.
"""

from __future__ import annotations

from pinggy.tunnel import endings, refusals
from pinggy.tunnel.refusals import Refusal, Unsaid

_BY_CODE: dict[str, type[Refusal]] = {
    each.code: each
    for module in (refusals, endings)
    for each in vars(module).values()
    if isinstance(each, type) and issubclass(each, Refusal) and each.__module__ == module.__name__
}


def from_wire(code: str, text: str) -> Refusal:
    """The refusal that *code* names, with the *text* that came along; an unknown code is `Unsaid`."""
    return _BY_CODE.get(code, Unsaid)(text)


def codes() -> frozenset[str]:
    """Every code that there is."""
    return frozenset(_BY_CODE)

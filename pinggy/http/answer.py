"""
What the edge answers itself, as a value; `pages` has how it is read.

An answer has two sentences: what happened, for whoever reads it, and what the owner of the tunnel can do. Both are
ours: no answer holds a word of a stranger. What is to be typed stands in backticks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from http import HTTPStatus

from pinggy.http.head import Headers


class Stop(IntEnum):
    """How far a request came, from the visitor on: where it stopped, and where something can be done."""

    VISITOR = 0
    EDGE = 1
    TUNNEL = 2
    LOCAL_SERVER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    *code* is for programs and does not change. *title* is a few words, *happened* and *hint* are sentences. No value in
    *headers* comes from a stranger unread.
    """

    status: int
    code: str
    title: str
    happened: str
    hint: str
    stop: Stop
    headers: Headers = ()

    @property
    def phrase(self) -> str:
        """The reason phrase (RFC 9110 15)."""
        return _NEWER_PHRASES.get(self.status) or HTTPStatus(self.status).phrase

    def having(self, *headers: tuple[str, str]) -> Answer:
        """The same, with these *headers* too."""
        return replace(self, headers=(*self.headers, *headers))


# Python says what RFC 7231 said, until 3.13.
_NEWER_PHRASES = {413: "Content Too Large"}

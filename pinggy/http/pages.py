"""
An `Answer` as it is sent: a page for browsers, JSON for programs, one line for others (see `accept`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache

from pinggy.http.accept import Medium
from pinggy.http.answer import Answer
from pinggy.http.head import Headers
from pinggy.http.page import CONTENT_SECURITY_POLICY, page


@dataclass(frozen=True, slots=True)
class _Made:
    """*start* is all of the head in HTTP/1.1 that does not depend on the request."""

    headers: Headers
    content: bytes
    start: bytes


def content_of(answer: Answer, medium: Medium) -> tuple[Headers, bytes]:
    """
    The headers and the content of the response, whatever version of HTTP carries it. A response to HEAD has these
    headers too, and no content.
    """
    made = _made_for(answer, medium)
    return made.headers + answer.headers, made.content


def response_of(answer: Answer, medium: Medium, *, bodiless: bool = False, connection: str = "close") -> bytes:
    """The whole response in HTTP/1.1. *bodiless* where HEAD was asked. *connection* is ``close`` or ``keep-alive``."""
    made = _made_for(answer, medium)
    rest = "".join([f"{name}: {value}\r\n" for name, value in answer.headers])
    head = made.start + f"{rest}Connection: {connection}\r\n\r\n".encode("latin-1")
    return head if bodiless else head + made.content


def _made_for(answer: Answer, medium: Medium) -> _Made:
    # What a header says (a realm, some seconds) makes no other page.
    return _made(replace(answer, headers=()) if answer.headers else answer, medium)


@lru_cache(maxsize=256)
def _made(answer: Answer, medium: Medium) -> _Made:
    match medium:
        case Medium.PAGE:
            content = page(answer)
        case Medium.JSON:
            content = _json(answer)
        case Medium.LINE:
            content = f"{line(answer)}\n".encode()
    headers = [
        ("Content-Type", medium.value),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if medium is Medium.PAGE:
        headers.append(("Content-Security-Policy", CONTENT_SECURITY_POLICY))
    lines = [f"HTTP/1.1 {answer.status} {answer.phrase}", *(f"{name}: {value}" for name, value in headers), ""]
    return _Made(tuple(headers), content, "\r\n".join(lines).encode("ascii"))


def _json(answer: Answer) -> bytes:
    said = {
        "status": answer.status,
        "error": answer.code,
        "message": _plain(answer.happened),
        "hint": _plain(answer.hint),
    }
    return json.dumps(said).encode("ascii") + b"\n"


def line(answer: Answer) -> str:
    """Both sentences."""
    return f"{_plain(answer.happened)} Is it yours? {_plain(answer.hint)}"


def _plain(text: str) -> str:
    return text.replace("`", "")

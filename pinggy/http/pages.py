"""
An `Answer` as it is sent: a page for browsers, JSON for programs, one line for others (see `accept`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache

from pinggy.http.accept import Medium
from pinggy.http.answer import Answer
from pinggy.http.head import Headers
from pinggy.http.page import CONTENT_SECURITY_POLICY, page


def content_of(answer: Answer, medium: Medium) -> tuple[Headers, bytes]:
    """
    The headers and the content of the response, whatever version of HTTP carries it. A response to HEAD has these
    headers too, and no content.
    """
    # What a header says (a realm, some seconds) makes no other page.
    headers, content = _content(replace(answer, headers=()) if answer.headers else answer, medium)
    return headers + answer.headers, content


def response_of(answer: Answer, medium: Medium, *, bodiless: bool = False, connection: str = "close") -> bytes:
    """The whole response in HTTP/1.1. *bodiless* where HEAD was asked. *connection* is ``close`` or ``keep-alive``."""
    headers, content = content_of(answer, medium)
    lines = [
        f"HTTP/1.1 {answer.status} {answer.phrase}",
        *(f"{name}: {value}" for name, value in headers),
        f"Connection: {connection}\r\n\r\n",
    ]
    head = "\r\n".join(lines).encode("latin-1")
    return head if bodiless else head + content


@lru_cache(maxsize=256)
def _content(answer: Answer, medium: Medium) -> tuple[Headers, bytes]:
    match medium:
        case Medium.PAGE:
            content = page(answer)
        case Medium.JSON:
            content = _json(answer)
        case Medium.LINE:
            content = _line(answer)
    headers = [
        ("Content-Type", medium.value),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if medium is Medium.PAGE:
        headers.append(("Content-Security-Policy", CONTENT_SECURITY_POLICY))
    return tuple(headers), content


def _json(answer: Answer) -> bytes:
    said = {
        "status": answer.status,
        "error": answer.code,
        "message": _plain(answer.happened),
        "hint": _plain(answer.hint),
    }
    return json.dumps(said).encode("ascii") + b"\n"


def _line(answer: Answer) -> bytes:
    return f"{_plain(answer.happened)} Is it yours? {_plain(answer.hint)}\n".encode()


def _plain(text: str) -> str:
    return text.replace("`", "")

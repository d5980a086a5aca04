"""
gRPC over HTTP/2 (its ``PROTOCOL-HTTP2.md``), as far as who carries it must know.
"""

from __future__ import annotations

from urllib.parse import quote

from pinggy.http.answer import Answer
from pinggy.http.h2heads import Fields, response_fields
from pinggy.http.head import RequestHead
from pinggy.http.pages import line

_TYPE = "application/grpc"
# As clients read a status of HTTP that comes instead of theirs (``http-grpc-status-mapping.md``); and what they call a
# message that is too large.
_CODES = {400: 13, 401: 16, 403: 7, 404: 12, 413: 8, 429: 14, 502: 14, 503: 14, 504: 14}
_UNKNOWN = 2
# The rest of grpc-message is percent-encoded UTF-8.
_AS_IT_IS = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def is_call(head: RequestHead) -> bool:
    """Whether it is a call: application/grpc, with or without a format behind it, and not grpc-web."""
    if head.method != "POST":
        return False
    for name, value in head.headers:
        if name.lower() == "content-type":
            return value[:16].lower() == _TYPE and value[16:17] in ("", "+", ";", " ")
    return False


def answer_fields(answer: Answer) -> Fields:
    """
    *answer* as a call is answered that ends before it began: a single head, whose status of HTTP is 200. A client shows
    its message, where of a page it would show the status alone.
    """
    code = _CODES.get(answer.status, _UNKNOWN)
    said = (("content-type", _TYPE), ("grpc-status", str(code)), ("grpc-message", quote(line(answer), _AS_IT_IS)))
    return response_fields(200, (*said, *answer.headers))

"""
What the edge says itself, as HTTP/2 has it.
"""

from __future__ import annotations

from pinggy.http.accept import Medium, medium_for
from pinggy.http.answer import Answer
from pinggy.http.grpc import answer_fields, is_call
from pinggy.http.h2heads import Fields, response_fields
from pinggy.http.head import RequestHead
from pinggy.http.pages import content_of


def own_response(answer: Answer, head: RequestHead | None) -> tuple[Fields, bytes]:
    """The fields and the content of *answer* to the request of *head*; None where that was none."""
    if head is None:
        headers, body = content_of(answer, Medium.LINE)
        return response_fields(answer.status, headers), body
    if is_call(head):
        return answer_fields(answer), b""
    headers, body = content_of(answer, medium_for(head.headers))
    return response_fields(answer.status, headers), b"" if head.method == "HEAD" else body

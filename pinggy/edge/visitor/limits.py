"""
What one visitor may cost, whether he speaks HTTP/1.1 or HTTP/2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLimits:
    """
    What one visitor connection may cost: *head_bytes* of one request's head, *target_bytes* of its target, and
    *header_count*; *head_seconds* from the first byte of a head to its last, *idle_seconds* between requests,
    *body_seconds* until more of a body comes, and until he reads more of what waits for him. The local server has
    *answer_seconds* to begin its response. *half_closed_seconds*: one who sends no more gets what is on its way, unless
    nothing comes for so long. After our last word he is listened to for *linger_seconds*, and what he has not read by
    then waits *closing_seconds* more.
    """

    head_bytes: int = 16 * 1024
    target_bytes: int = 8 * 1024
    header_count: int = 100
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    body_seconds: float = 60.0
    answer_seconds: float = 120.0
    half_closed_seconds: float = 60.0
    linger_seconds: float = 10.0
    closing_seconds: float = 60.0

"""
The first bytes of a connection: does somebody speak SSH, TLS or HTTP?

SSH begins with its version string (RFC 4253 4.2), TLS with a handshake record of version 3.x (RFC 8446 5.1), HTTP with
a method and a space (RFC 9112 3). No two of them share more than a few letters, so that the answer for a longer
beginning never contradicts the answer for a shorter one.
"""

from __future__ import annotations

import re
from enum import Enum, auto

# No registered method is longer: VERSION-CONTROL, BASELINE-CONTROL, UPDATEREDIRECTREF (RFC 9110 16.1).
LONGEST_METHOD = 17
_METHOD = re.compile(rb"[A-Za-z][A-Za-z-]{0,%d}" % (LONGEST_METHOD - 1))
_SSH = b"SSH-"
_TLS = b"\x16\x03"


class Speech(Enum):
    UNDECIDED = auto()  # more bytes are needed
    SSH = auto()
    TLS = auto()
    HTTP = auto()
    GARBAGE = auto()


def sniff(first: bytes) -> Speech:
    """What a connection that begins with *first* speaks; never `Speech.UNDECIDED` from 18 bytes on."""
    if first.startswith(_SSH):
        return Speech.SSH
    if first.startswith(_TLS):
        return Speech.TLS
    if _SSH.startswith(first) or _TLS.startswith(first):
        return Speech.UNDECIDED
    method = _METHOD.match(first)
    if method is None:
        return Speech.GARBAGE
    if method.end() == len(first):
        return Speech.UNDECIDED if len(first) <= LONGEST_METHOD else Speech.GARBAGE
    return Speech.HTTP if first[method.end()] == ord(" ") else Speech.GARBAGE

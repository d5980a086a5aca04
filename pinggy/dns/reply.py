"""
Bytes of a stranger in, bytes of the reply out, or silence: never an exception, never more bytes than were asked for.
"""

from __future__ import annotations

import struct

import dns.message
import dns.opcode
from dns.flags import QR, RD
from dns.opcode import Opcode
from dns.rcode import FORMERR, NOTIMP, Rcode

from pinggy.dns.answer import LARGEST_DATAGRAM, answer
from pinggy.dns.contents import Contents

LARGEST_STREAM_MESSAGE = 65535
_SMALLEST_DATAGRAM = 512
_HEADER = struct.Struct("!6H")


def datagram_reply(data: bytes, zone: Contents) -> bytes | None:
    """
    The reply to a UDP *data*gram: at most as large as the query's EDNS payload size, 512 bytes without one
    (RFC 6891 6.2.3), and never over 1232; what does not fit is cut off at an RRset and TC is set (RFC 2181 9).
    """
    return _reply(data, zone, LARGEST_DATAGRAM)


def stream_reply(data: bytes, zone: Contents) -> bytes | None:
    """The reply to one TCP message, without the length before it."""
    return _reply(data, zone, None)


def _reply(data: bytes, zone: Contents, largest_datagram: int | None) -> bytes | None:
    if len(data) < _HEADER.size:
        return None
    ident, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(data)
    # To answer a response would start a game of ping-pong with another server.
    if flags & QR:
        return None
    if dns.opcode.from_flags(flags) != Opcode.QUERY:
        return _bare(ident, flags, NOTIMP)
    # One question (RFC 9619), at most the SOA of an IXFR, an OPT and a TSIG: more is not worth the parsing.
    if questions != 1 or answers or authorities > 1 or additionals > 2:
        return _bare(ident, flags, FORMERR)
    try:
        query = dns.message.from_wire(data)
    except Exception:
        # Of what its parsers raise on garbage, the library promises nothing.
        return _bare(ident, flags, FORMERR)
    if largest_datagram is None:
        largest = LARGEST_STREAM_MESSAGE
    else:
        largest = max(min(query.payload, largest_datagram), _SMALLEST_DATAGRAM)
    return answer(query, zone).to_wire(max_size=largest, prefer_truncation=True)


def _bare(ident: int, flags: int, rcode: Rcode) -> bytes:
    """A header alone: nothing else of the query was understood."""
    return _HEADER.pack(ident, QR | (flags & 0x7800) | (flags & RD) | rcode, 0, 0, 0, 0)

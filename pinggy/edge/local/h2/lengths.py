"""
Content-Length as it passes the h2 library unseen.

Where a body is not as long as its head says, the library ends the connection, and with it everybody's requests. It is
the response alone that is malformed (RFC 9113 8.1.1), so the exchange counts, and the library is shown a header that it
does not know.
"""

from __future__ import annotations

from collections.abc import Iterable

from hpack import Decoder, HeaderTuple

from pinggy.http.h2heads import Fields

_NAME = b"content-length"
# Not in lower case, as servers may not say it; one that does has said the same.
_HIDDEN = b"Content-Length"


class HidingDecoder(Decoder):
    """Reads header blocks; what they say of the length is hidden."""

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        """*raw* as the library always asks: names and values are bytes."""
        return [
            HeaderTuple(_HIDDEN, field[1]) if field[0] == _NAME else field for field in super().decode(data, raw=True)
        ]


def shown(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """*fields* as the server has said them."""
    return [(_NAME, value) if name == _HIDDEN else (name, value) for name, value in fields]

"""
Headers that the words of a client may not touch.
"""

from __future__ import annotations

import pytest

from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.refusals import UnknownArgument


@pytest.mark.parametrize(
    "word",
    [
        "a:Content-Length:5",
        "a:transfer-encoding:chunked",
        "u:Connection:close",
        "r:Transfer-Encoding",
        "r:Upgrade",
        "a:Trailer:Host",
        "x:xff:Content-Length",
        "x:xff:Host",
        "A:Content-Length:5",
        "R:transfer-encoding",
        "U:Connection:close",
        "R:Keep-Alive",
        "A:Trailer:X",
        "A:Upgrade:h2c",
        "R:Sec-WebSocket-Accept",
        "U:Sec-WebSocket-Extensions:permessage-deflate",
    ],
)
def test_headers_that_say_where_a_message_ends_are_refused(word: str) -> None:
    with pytest.raises(UnknownArgument) as refusal:
        parse_policy((word,))
    assert word in refusal.value.text

"""
What is done to well-formed bytes: the published tricks, put anywhere.
"""

from __future__ import annotations

from random import Random

POISON = (
    b"\n",
    b"\r",
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\r\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\x0b",
    b"\x0c",
    b"\x1f",
    b"\x7f",
    b"\x85",
    b"\xa0",
    b"\xff",
    b":",
    b" :",
    b",",
    b";",
    b";a",
    b';a="',
    b'"',
    b"_",
    b"+",
    b"-",
    b"#",
    b"?",
    b"/",
    b"@",
    b"*",
    b"%0d%0a",
    b"0",
    b"0x",
    b"1",
    b"f",
    b"5\r\n",
    b"0\r\n\r\n",
    b"0\r\n",
    b"fffffffffffffffff",
    b"\r\n folded",
    b"\r\n\tfolded",
    b"\r\nHost: shop.a.example",
    b"\r\nHost : blog.a.example",
    b"\r\nContent-Length: 3",
    b"\r\nContent-Length: 0",
    b"\r\nContent-Length: 5, 5",
    b"0" * 5000,
    b"\r\nContent-Length: +5",
    b"\r\nContent_Length: 5",
    b"\r\nTransfer-Encoding: chunked",
    b"\r\nTransfer-Encoding: identity",
    b"\r\nTransfer-Encoding: \x0bchunked",
    b"\r\nTransfer-Encoding : chunked",
    b"\r\nTransfer_Encoding: chunked",
    b"\r\nTransfer-Encoding: gzip, chunked",
    b"\r\nConnection: Content-Length, Host, Transfer-Encoding",
    b"\r\nConnection: close",
    b"\r\nConnection: keep-alive",
    b"\r\nConnection: Upgrade\r\nUpgrade: h2c",
    b"\r\nConnection: Upgrade\r\nUpgrade: websocket",
    b"\r\nExpect: 100-continue",
    b"\r\nTrailer: Host",
    b" HTTP/1.0",
    b" HTTP/1.1",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"GET /smuggled HTTP/1.1\r\nHost: shop.a.example\r\n\r\n",
)
_SWAPS = (
    (b"\r\n", b"\n"),
    (b"\r\n", b"\r"),
    (b"\r\n\r\n", b"\n\n"),
    (b": ", b":"),
    (b": ", b" : "),
    (b": ", b":\t"),
    (b": ", b":\r\n "),
    (b" ", b"\t"),
    (b" ", b"  "),
    (b"HTTP/1.1", b"HTTP/1.0"),
    (b"HTTP/1.1", b"HTTP/1.2"),
    (b"HTTP/1.1", b"HTTP/2.0"),
    (b"HTTP/1.1", b"http/1.1"),
    (b"HTTP/1.1", b"HTTP/1.1 "),
    (b"chunked", b"Chunked"),
    (b"chunked", b"chunked, chunked"),
    (b"chunked", b"xchunked"),
    (b"Content-Length", b"content-length"),
    (b"Content-Length", b"Content_Length"),
    (b"Content-Length", b"Content-Length "),
    (b"Transfer-Encoding", b"Transfer_Encoding"),
    (b"Host", b"host"),
    (b"Host", b"X-Host"),
    (b"shop", b"blog"),
    (b"a.example", b"a.example:80"),
    (b"0\r\n", b"00\r\n"),
)


def mutated(data: bytes, chance: Random) -> bytes:
    """*data* with one thing wrong, or merely different."""
    at = _place(data, chance)
    match chance.randrange(8):
        case 0 | 1 | 2:
            return data[:at] + chance.choice(POISON) + data[at:]
        case 3:
            return data[:at] + data[at + chance.choice((1, 1, 1, 2, 2, 10)) :]
        case 4:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        case 5:
            end = at + chance.choice((1, 2, 10, 60))
            return data[:end] + data[at:end] + data[end:]
        case 6:
            return _swapped(data, chance)
        case _:
            return data[:at] if chance.random() < 0.3 else data[:at] + data[at : at + 9].swapcase() + data[at + 9 :]


def _place(data: bytes, chance: Random) -> int:
    """Half of the time near something that structures a message."""
    if chance.random() < 0.5:
        mark = chance.choice((b"\r\n", b"\r\n\r\n", b":", b" ", b"Host", b"Content-Length", b"Encoding", b"HTTP/"))
        places = [at for at in range(len(data)) if data.startswith(mark, at)]
        if places:
            return min(len(data), chance.choice(places) + chance.choice((0, 0, len(mark), len(mark), 1)))
    return chance.randrange(len(data) + 1)


def _swapped(data: bytes, chance: Random) -> bytes:
    old, new = chance.choice(_SWAPS)
    places = [at for at in range(len(data)) if data.startswith(old, at)]
    if not places:
        return data
    at = chance.choice(places)
    return data[:at] + new + data[at + len(old) :]


def split(data: bytes, chance: Random) -> list[bytes]:
    """*data* in pieces as a network might bring them: all at once, in single bytes, or anything between."""
    coarse = ((5, 100, 1000), (100_000,))
    sizes = chance.choice(coarse if len(data) > 1000 else ((1,), (1, 2, 3), (1, 7, 40), *coarse))
    pieces = []
    while data:
        size = chance.choice(sizes)
        pieces.append(data[:size])
        data = data[size:]
    return pieces

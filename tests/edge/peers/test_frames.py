"""
Frames: whatever is put into them comes out, however it is cut, and so do its end and what stands behind it.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pinggy.edge.peers.frames import END, LONGEST, FrameReader, framed

PARTS = st.lists(st.binary(min_size=1, max_size=300), max_size=5)


@given(PARTS, st.booleans(), st.binary(max_size=20), st.data())
def test_what_is_framed_comes_out(parts: list[bytes], ends: bool, rest: bytes, data: st.DataObject) -> None:
    said = b"".join(framed(part) for part in parts) + (END + rest if ends else b"")
    cuts = sorted(data.draw(st.sets(st.integers(0, len(said)), max_size=8)))
    reader = FrameReader()
    carried = b""
    for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True):
        carried += reader.feed(said[start:end])
    assert carried == b"".join(parts)
    assert reader.ended is ends
    assert reader.rest == (rest if ends else b"")


def test_what_is_long_is_cut_into_records() -> None:
    data = bytes(range(256)) * 1000
    said = framed(data)
    assert len(said) == len(data) + 2 * -(-len(data) // LONGEST)
    assert FrameReader().feed(said) == data

"""
The h2 library's connection, where what it remembers is more than anybody needs.
"""

from __future__ import annotations

from h2.connection import H2Connection


class Connection(H2Connection):
    """Of the streams that are over it remembers how the last ones ended: of 65,536 as it comes, in 8 MB."""

    MAX_CLOSED_STREAMS = 1000

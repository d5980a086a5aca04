"""
A seeded fuzz of the whole edge: what reaches a local server is what a strict reader reads from the visitor's bytes.

requests
    one visitor connection: well-formed requests, most of them; and what is done to their bytes.
responses
    what a local server answers: well formed, most of it.
edge
    the edge in memory between one visitor and recording local servers; who acts next is drawn by the seed.
neighbour
    another edge, that has one of the tunnels.
oracle
    what must hold of all that was recorded. Its reader is ``tests/support/strict_http``.
cases
    one case from its seed to its verdict.
h2_requests, h2_edge
    the same for a visitor over HTTP/2: many requests at once, and what a strict reader takes them for.
h2_local
    the same for a local server that speaks HTTP/2.
h2_order
    frames of a visitor in any order, amid all else that happens to an edge.
sockets
    visitors and local servers over TCP, for a real edge between them (``tests/system/test_bad_input_http``).

``make fuzz MINUTES=10`` runs it for long, ``python -m tests.fuzz --seed N`` one case again.
"""

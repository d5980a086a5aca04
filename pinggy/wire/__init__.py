"""
What edge, operator and core say to each other: JSON over HTTP, each message one frozen value. Pure.

messages
    the values, and `encode`/`decode`.
paths
    where each is sent.
operator
    the values of the operator's calls.
proof
    the core's signed grant of a name, for zone gates.
"""

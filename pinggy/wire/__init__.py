"""
What edge, operator and core say to each other: JSON over HTTP, each message one frozen value. Pure.

codec
    frozen values <-> JSON.
messages
    what an edge says of itself and its tunnels.
orders
    what the core wants of an edge.
places
    where a name lives; by what edges know each other.
paths
    where each is sent.
operator
    the values of the operator's calls.
doctor
    what the core has found, for the operator.
signed
    what the core has signed, as text; the two that follow are:
proof
    the core's signed grant of a name, for zone gates.
ticket
    the core's signed word for a tunnel, for the time that it is away.
"""

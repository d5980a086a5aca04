"""
The core's HTTP side: bytes to a wire value, one call of `authority` or `operator`, and a wire value to bytes.

site
    connections, bounded bodies, what is in hand.
resource
    JSON in, JSON out, refusals as HTTP errors.
edges, office, health, doctor
    one small Resource a message.
tree
    which Resource lives at which path.
"""

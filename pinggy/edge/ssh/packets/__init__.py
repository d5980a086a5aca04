"""
Packets on the wire (RFC 4253 6): bytes in, payloads out, and back. Pure, and imports nothing of ours, so that it could
be offered upstream.

suites
    what seals and opens: AES-GCM (RFC 5647), AES-CTR with a MAC over the ciphertext or over the packet.
names
    which algorithms there are, and the keys that each needs.
reader
    a stream of bytes, in whatever pieces, to payloads.
padding
    how long, and of what.
"""

"""
Which TLS is spoken: 1.2 and 1.3 with forward secrecy and AEAD (RFC 9325), sessions resumed by tickets.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL

# The short keys first: they are as good, and faster.
_TLS_1_2 = b"ECDHE+AES128+AESGCM:ECDHE+AESGCM:ECDHE+CHACHA20"
_TLS_1_3 = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

# Protocols within TLS (ALPN, RFC 7301 6 and RFC 9113 3.2).
HTTP_1_1 = b"http/1.1"
H2 = b"h2"

# pyOpenSSL has no name for it. Who puts ChaCha20 first has no AES in hardware: he gets it.
_OP_PRIORITIZE_CHACHA = 1 << 21


def bare_context(identity: bytes, protocols: tuple[bytes, ...]) -> SSL.Context:
    """
    A context for servers that has no certificate yet. *identity* (32 bytes at the most) is of the certificate: no
    session that was begun with another one is resumed with it. Of the *protocols* that a visitor offers the first is
    chosen; where he offers none of them, the handshake goes on without.
    """

    def choose(_: SSL.Connection, offered: list[bytes]) -> Any:
        return next((each for each in protocols if each in offered), SSL.NO_OVERLAPPING_PROTOCOLS)

    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE | _OP_PRIORITIZE_CHACHA
    )
    # An idle connection gives its 34 KB of buffers back.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(_TLS_1_2)
    context.set_tls13_ciphersuites(_TLS_1_3)
    # Sessions are resumed by tickets, which cost this side no memory. Each context has keys of its own for them.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(identity)
    if protocols:
        context.set_alpn_select_callback(choose)
    return context

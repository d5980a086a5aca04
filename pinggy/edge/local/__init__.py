"""
Toward the local server: what becomes of a visitor's request once its way is known.

leg
    a stream to the local server, with all that the policy puts before the first byte.
tls
    TLS that is spoken to the local server, inside a stream.
upstream
    one stream that speaks HTTP/1.1, for one request after another.
pool
    those of one forwarding that wait for the next request, whoever's it is.
http1
    one request and its response, over an upstream.
h2
    local servers that speak HTTP/2: one connection for all visitors of a forwarding.
"""

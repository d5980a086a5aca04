"""
Local servers that speak HTTP/2 with prior knowledge (RFC 9113 3.3), on the h2 library: x:h2.

connection
    one connection, which all visitors of a forwarding share: frames in and out, and who may send.
exchange
    one request and its response, as one stream of it.
lengths
    what the library does not see of responses.
pool
    the connections of one forwarding: the next one when all streams of the others are in use.
connect
    makes one, over a leg.
"""

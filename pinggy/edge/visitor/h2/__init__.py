"""
Visitors who speak HTTP/2 (RFC 9113), on the h2 library.

connection
    one visitor's connection: frames in and out, and who may send.
stream
    one request of his and its response.
own
    what the edge says itself, as HTTP/2 has it.
patience
    with a visitor who does not take what waits for him there.
seam
    what a stream asks of its connection.
"""

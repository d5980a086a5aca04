"""
Toward the local server: what becomes of a visitor's request once its way is known.

upstream
    one stream that speaks HTTP/1.1, for one request after another.
pool
    those of one forwarding that wait for the next request, whoever's it is.
http1
    one request and its response, over an upstream.
"""

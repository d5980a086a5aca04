"""
Other edges: visitors who are passed on to them, and those who come from them. One hop, over mutual TLS.

places
    where names live, as the core says it: asked, told, and remembered for a while.
identity
    the key and certificate of this edge, and whom it believes.
greeting
    what is said before a visitor's bytes: a PROXY header, answered by one byte.
frames
    what follows, so that either way can end by itself.
link
    a connection to another edge, `link_stream` a visitor's hold of it; `links` keeps a few of them ready.
reach
    from a name to a stream: the place, the link, and again where the tunnel has moved on.
peering
    all of it, put together.
arrivals
    visitors from other edges, served as any; `guest` is their transport.
"""

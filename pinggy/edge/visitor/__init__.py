"""
How visitors come in.

entrance
    who comes: as the socket says, or a load balancer in front that is believed.
port
    the shared public port: the first bytes decide whether a connection is SSH, TLS or HTTP.
arrival
    of whom nothing is known yet: his first bytes decide, or within TLS what was agreed on by ALPN.
tls
    visitors who speak TLS: passed through unread, or ended here. With it tls_transport (TLS that ends here) and secured
    (what such a visitor was told, and so which hosts he may ask for).
tcp
    the ports of tcp tunnels.
doorway
    where one protocol meets a visitor and another one serves it.
raw
    who is admitted to a raw tunnel, and how it gets its stream.
web
    visitors who speak HTTP/1.1: their requests in turn. With it requests (what they send, cut into heads and bodies),
    reply (what is written for them) and wire (their transport).
h2
    visitors who speak HTTP/2: many requests at once.
route
    the way of a request, whichever of the two it came by. With it verdict (what the policy says) and stay (the tunnels
    that have let a visitor in).
limits
    what one visitor may cost.
doors
    which of the two is made for whom.
"""

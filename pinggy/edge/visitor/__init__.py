"""
How visitors come in.

port
    the shared public port: the first bytes decide whether a connection is SSH, TLS or HTTP.
tls
    visitors who speak TLS: passed through unread, or ended here.
tcp
    the ports of tcp tunnels.
doorway
    where one protocol meets a visitor and another one serves it.
raw
    who is admitted to a raw tunnel, and how it gets its stream.
web
    visitors who speak HTTP: their requests in turn. With it route (their way), verdict (what the policy says) and wire
    (the visitor's transport).
"""

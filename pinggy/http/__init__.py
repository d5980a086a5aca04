"""
What visitors say: bytes in, decisions out, no I/O.

sniff
    the first bytes of a connection: SSH, TLS or HTTP?
clienthello
    the host that a TLS ClientHello names.
collector
    where a head ends.
head
    request and response heads, on httptools.
framing
    where a body ends.
rewrite
    what is changed in a head on its way to the local server, and back.
response_rules
    what a policy, and the peace among tunnels, change in the headers of a response.
h2heads
    request and response heads as HTTP/2 has them, on the h2 library.
grpc
    which requests are calls of gRPC, and how they are answered by the edge.
write
    heads as HTTP/1.1 writes them.
proxyprotocol
    the PROXY protocol: who a visitor is, said by somebody who passes his bytes on. With it proxyline, its version 1.
credentials
    the passwords and keys of a policy.
accept
    whether who asks would rather read a page, JSON or a line.
answer
    what the edge says itself, as a value.
pages, page
    the same as it is sent.
malformed
    the one error of parsers.
"""

"""
A self-hosted tunnel service: a program on a laptop gets a public address through nothing but ``ssh``.

The map (imports point down only; ``make check`` holds it)::

    together  cli  testing       core and edge in one process; the operator's command; verified fakes
    core | edge | gate           the daemons; they never import each other
    dns  daemon  metrics         the names that we own; what daemons do alike under twistd; numbers for Prometheus
    certificates  trust          what we show in TLS; whom we believe
    issuing                      certificates of our own making
    wire | http                  pure: what edge and core say; what visitors say
    tunnel                       pure: what a tunnel is
    settings  sockets            TOML to frozen values; where something listens

The words (docs/architecture.rst has the whole glossary):

client
    runs ``ssh`` and owns the local server.
visitor
    opens the public address.
tunnel
    one client connection with its forwardings.
forwarding
    one public name or port and the local address behind it.
grant
    what the core allowed: names, ports, limits, expiry, epochs.
policy
    what the client asked to do with visitors.
zone
    the DNS zone that we own.
relay
    joins one visitor to one stream.
"""

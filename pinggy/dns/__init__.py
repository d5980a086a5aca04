"""
The names that we own: the only floor, but the daemons, that waits.

zone
    the contract: publish and withdraw, by epoch.
fence
    epochs: who may still write a name.
hostnames, rrsets
    texts to names, and the zone's own records from settings.
embedded_zone
    a zone in memory; contents is what stands in it, and which node answers for a name.
answer, reply
    pure: a response for a query, bytes for bytes.
embedded
    an authoritative server of our own; datagrams and streams are its two transports.
powerdns
    a zone over PowerDNS servers, straight or behind zone gates.
geo
    where addresses are on the earth, as a file that PowerDNS reads.
route53
    an entry at Amazon's, outside our zone.
probe
    is it really there? question asks one server once.
"""

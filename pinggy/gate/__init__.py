"""
The zone gate: stands beside one PowerDNS server, and lets through what the core has signed, in the order of epochs.

api
    the subset of PowerDNS's HTTP API that edges use.
asked
    pure: the body of a PATCH to changes, each held to its proof.
door
    what the gate does with a PATCH: proofs, epochs, then PowerDNS; complaints is what it logs of strangers.
epochs
    the highest epoch of each name, in SQLite: durable before PowerDNS is written.
geo
    the GeoIP file of PowerDNS: fetched from the core, and loaded.
traffic
    connections and requests: everything that a stranger sends is bounded.
service, tap, config
    the daemon.
"""

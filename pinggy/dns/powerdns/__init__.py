"""
The zone over PowerDNS: every server is written over HTTP and asked over DNS; straight, or behind a zone gate.

zone
    `Zone` and `Probe` over all servers together: who is up, who took what.
server
    the settings of one server.
lane
    all that belongs to one server.
records
    a tunnel's or region's record to a change, checked.
changes
    what shall stand at a name, as a value and as PowerDNS's RRsets; listing reads what stands.
lua
    the records that lead to the nearest edge: texts that PowerDNS runs, made of addresses alone.
queue, writer
    one writer a server: what waits while a PATCH is under way goes into the next one.
health
    up or down: one line when it changes, and the trying again.
api
    HTTP with treq: the only file that meets it; body is what it reads.
"""

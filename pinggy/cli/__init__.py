"""
``pinggy``, the operator's command: it speaks to the core over HTTP with the operator's key.

main
    from the words to the exit status.
arguments
    the tree of commands; each noun's file adds its own.
accounts, tokens, keys, names, ports, edges, tunnels, zone
    one noun each: its verbs, what they ask the core, what they show.
doctor, doctor_view, doctor_here
    what the core has found, in lines for a terminal, and what is seen from where the command runs.
zone_init, zone_plan, powerdns
    the one verb that speaks to the zone's servers themselves; what a new zone holds; PowerDNS's API.
edge_file
    the settings of a new edge.
access
    where the core is, and the key to it.
calls
    one call of the core: message out, message back.
places
    where a server is, and one exchange of HTTP with it.
terminal, tables
    what goes to stdout and what to stderr; rows in columns.
"""
